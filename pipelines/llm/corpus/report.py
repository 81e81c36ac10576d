"""Show what a corpus holds and what became of it, on one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.pages.templates import page_templates

_TEMPLATES = page_templates("pipelines.llm.corpus")


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
    return _TEMPLATES.get_template("report.html").render(report=report)
