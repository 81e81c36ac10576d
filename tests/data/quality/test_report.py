from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

from pipelines.data.quality.pictures import Bar, Picture
from pipelines.data.quality.report import Examples, Report, render, report_key
from pipelines.records import CheckResult, Partition, Window
from pipelines.spec.model import ClassicSpec

NASTY = "<script>alert('x')</script>&\"' \u202e"


def check(name: str, status: str, severity: str = "critical", bad_rows: int | None = None) -> CheckResult:
    fields = {"check": name, "type": "expect_x", "column": "a", "status": status, "severity": severity}
    return CheckResult.model_validate({**fields, "bad_rows": bad_rows, "observed": NASTY, "required": NASTY})


PARTITION = Partition(name="2013-01", key="k", content_sha256="a" * 64, num_rows=1000, size_bytes=1)

REPORT = Report(
    model="flight_delay",
    outcome="refused",
    reasons=(NASTY,),
    window=Window(start="2013-01-01"),
    raw=(PARTITION,),
    num_bad_by_partition={"2013-01": 12},
    num_rows_in=1000,
    num_rows_bad=12,
    max_quarantined_share=0.01,
    checks=(check("fine", "passed"), check("warns", "failed", "warning", 3), check(NASTY, "failed", bad_rows=9)),
    examples=(Examples.of(NASTY, [{NASTY: NASTY, "n": 1}]),),
    pictures=(
        Picture("n", "int64", 0.5, "histogram", (Bar(NASTY, 3, 1.0), Bar("b", 1, 0.3)), "0", "9"),
        Picture(NASTY, "string", 0.0, "values", (Bar(NASTY, 3, 0.5),), note=NASTY),
    ),
    num_rows_sampled=100,
)


class Tags(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_whatever_stands_in_the_data_it_stays_text() -> None:
    page = render(REPORT)
    tags = Tags(page)

    assert "script" not in tags.tags
    assert tags.open == []
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert page.count("&lt;script&gt;") >= 8


def test_the_page_needs_nothing_but_itself() -> None:
    page = render(REPORT)
    tags = Tags(page)

    assert not {"link", "img", "iframe", "object", "script"} & set(tags.tags)
    assert not {"src", "href"} & {name for name, _ in tags.attributes}
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_page_says_what_came_of_the_data() -> None:
    page = render(REPORT)

    assert "Data refused" in page
    assert "Nothing was trained." in page
    assert re.search(r"checks failed</span><b class=\"failed\">2</b>.*1 of them only warn", page)
    assert page.index("✗ failed") < page.index("✗ warning") < page.index("✓ passed")


def test_the_same_data_gives_the_same_page() -> None:
    assert render(REPORT) == render(dataclasses.replace(REPORT))


def test_good_data_without_checks_has_a_page_too() -> None:
    page = render(dataclasses.replace(REPORT, outcome="passed", reasons=(), checks=(), examples=(), num_rows_bad=0))

    assert "Data accepted" in page
    assert "1,000 rows go on to training" in page
    assert "no expectations" in page


def test_a_page_is_named_by_what_it_is_about(spec: ClassicSpec) -> None:
    key = report_key(spec, [PARTITION])
    other = PARTITION.model_copy(update={"content_sha256": "b" * 64})

    assert re.fullmatch(r"tiny/reports/quality/[0-9a-f]{64}\.html", key)
    assert key == report_key(spec, [PARTITION])
    assert key != report_key(spec, [other])
    assert key != report_key(
        spec.model_copy(update={"quality": spec.quality.model_copy(update={"max_quarantined_share": 0.5})}), [PARTITION]
    )
