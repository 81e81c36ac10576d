"""Show what came of a run's data on one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.data.pages.templates import page_templates
from pipelines.data.quality.pictures import Picture
from pipelines.data.quality.wording import percent, value_words
from pipelines.records import CheckResult, Partition, Window, sha256_of
from pipelines.spec import ModelSpec

Outcome = Literal["passed", "refused", "broken"]

_TEMPLATES = page_templates("pipelines.data.quality")
_TEMPLATES.filters |= {"percent": percent, "words": value_words}


@dataclass(frozen=True)
class Examples:
    """A few quarantined rows of one check, in the columns that tell most."""

    check: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, check: str, rows: Sequence[Mapping[str, Any]]) -> Examples:
        """Return rows, which are not none and have the same columns, in words."""
        return cls(check, tuple(rows[0]), tuple(tuple(map(value_words, row.values())) for row in rows))


@dataclass(frozen=True)
class Report:
    """All that the page shows. It names no time: the same data gives the same page."""

    model: str
    outcome: Outcome
    reasons: tuple[str, ...]
    window: Window
    raw: tuple[Partition, ...]
    num_bad_by_partition: Mapping[str, int]
    num_rows_in: int
    num_rows_bad: int
    max_quarantined_share: float
    checks: Sequence[CheckResult]
    examples: Sequence[Examples]
    pictures: Sequence[Picture]
    num_rows_sampled: int

    @property
    def bad_share(self) -> float:
        """Quarantined rows over rows in, from 0 to 1."""
        return self.num_rows_bad / self.num_rows_in if self.num_rows_in else 0.0

    @property
    def worst_first(self) -> list[CheckResult]:
        """The checks, those that stopped the run first, then warnings; else in the spec's order."""
        places = {"broken": 0, "failed": 1, "passed": 3}
        return sorted(self.checks, key=lambda check: places[check.status] + (check.severity == "warning") / 2)

    @property
    def bad_by_check(self) -> list[CheckResult]:
        """The checks that found bad rows, most first."""
        found = [check for check in self.checks if check.bad_rows]
        return sorted(found, key=lambda check: -(check.bad_rows or 0))


def render(report: Report) -> str:
    """Return the page as HTML: styles and pictures inside it, no scripts, nothing from elsewhere."""
    return _TEMPLATES.get_template("report.html").render(report=report)


def report_key(spec: ModelSpec, partitions: Sequence[Partition]) -> str:
    """Return where the page about these partitions, judged by this spec, is stored, also before it is written."""
    judged = [spec.quality.model_dump(mode="json"), [partition.to_dict() for partition in partitions]]
    return f"{spec.name}/reports/quality/{sha256_of(judged)}.html"
