"""Templates of reports that are each one HTML file: styles and pictures inside it, no scripts, nothing from elsewhere.

A report lies beside the module that fills it, extends `page.html`, and takes figures, bars and tables from
`pieces.html`. What only that report shows, it styles in its block `style`; all else is in `page.css`.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_templates(package: str) -> Environment:
    """Return what loads the templates beside a package's modules, which may extend and import those of this package.

    Text is escaped wherever it comes from, since a page shows data, and data may hold HTML; a name that is not given is
    an error.

    Args:
        package: Full name of the package that holds the template, such as `pipelines.data.quality`.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("pipelines.data.pages", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
