from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from jinja2 import Template, UndefinedError

from pipelines.data.pages.templates import page_templates

REPORT = """{% extends "page.html" %}
{% from "pieces.html" import bar, figure, table %}
{% block title %}{{ name }}{% endblock %}
{% block style %}.own { color: red; }{% endblock %}
{% block main %}
{{ figure(name, "1,234", "of 2,000", "failed") }}{{ figure("bare", 7) }}
{{ bar(0.255) }}{{ bar(0) }}
{{ table([name, "b"], [[1, name], [2, "y"]]) }}
{% endblock %}
"""
NASTY = "<script>alert('x')</script>&\""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A report beside the modules of a package of its own."""
    folder = tmp_path_factory.mktemp("pages") / "package_of_a_report"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "report.html").write_text(REPORT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder.parent))
        return page_templates(folder.name).get_template("report.html")


def test_a_report_is_one_page_with_the_shared_style_and_its_own(template: Template) -> None:
    page = template.render(name="toy")
    assert page.startswith("<!doctype html>")
    assert "<title>toy</title>" in page
    assert re.search(r"<style>\n:root \{.*\.own \{ color: red; \}\s*</style>", page, re.DOTALL)
    assert page.count("<style") == page.count("<main>") == 1


def test_pieces_show_what_they_are_given(template: Template) -> None:
    page = template.render(name="toy")
    assert '<b class="failed">1,234</b><span class="soft small">of 2,000</span>' in page
    assert '<span class="soft small">bare</span><b>7</b></div>' in page
    assert '<div class="track"><div style="width: 25.50%"></div></div>' in page
    assert '<div class="track"></div>' in page  # nothing is no sliver
    assert "<th>toy</th><th>b</th>" in page
    assert "<tr><td>2</td><td>y</td></tr>" in page


def test_text_stays_text_also_in_pieces(template: Template) -> None:
    page = template.render(name=NASTY)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&#34;") == 4


def test_a_name_that_is_not_given_is_an_error(template: Template) -> None:
    with pytest.raises(UndefinedError, match="name"):
        template.render()


class Loading(HTMLParser):
    """Collects what makes a browser load or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs if name in {"src", "href", "srcset"} or name.startswith("on")}
        self.found += [tag, *names] if names or tag in {"script", "link", "iframe", "object", "img"} else []


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(template: Template) -> None:
    page = template.render(name="toy")
    assert Loading(page).found == []
    assert not re.search(r"https?://|@import|url\(", page)
