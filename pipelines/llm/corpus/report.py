"""Show what a corpus holds and what became of it, on one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=PackageLoader("pipelines.llm.corpus", "."),
    autoescape=True,  # the page shows what people typed
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Figure:
    """One number and a note on it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Histogram:
    """Bars from top to bottom, each a name and a count."""

    title: str
    bars: Sequence[tuple[str, int]]

    @property
    def highest(self) -> int:
        """The longest bar's count, at least 1."""
        return max((count for _, count in self.bars), default=0) or 1


@dataclass(frozen=True)
class Table:
    """Rows of text; a table without rows is not shown."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Report:
    """All that the page shows. It names no time: the same corpus gives the same page."""

    model: str
    subject: str
    headline: str
    text: str
    figures: Sequence[Figure]
    histograms: Sequence[Histogram] = ()
    tables: Sequence[Table] = ()


def render(report: Report) -> str:
    """Return the page as HTML: styles inside it, no scripts, nothing from elsewhere."""
    return _ENVIRONMENT.get_template("report.html").render(report=report)
