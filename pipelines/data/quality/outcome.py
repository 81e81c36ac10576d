"""Decide from what was found whether the data is good enough, and give every reason when it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.data.quality.findings import Finding
from pipelines.data.quality.suite import named_columns
from pipelines.data.quality.wording import percent, required_words, rows_words, value_words
from pipelines.records import CheckResult
from pipelines.spec.nearest import choices
from pipelines.spec.quality import ExpectationSpec, Quality

WORST = 5  # checks that a message names; the report has them all


def with_quarantine(
    quality: Quality, names: Sequence[str], findings: Sequence[Finding], num_quarantined: Mapping[str, int]
) -> list[Finding]:
    """Return the findings, broken where quarantine holds other rows for a check than Great Expectations counted."""
    checked = []
    for name, spec, finding in zip(names, quality.expectations, findings, strict=True):
        held = num_quarantined.get(name, 0)
        if spec.severity == "critical" and finding.num_bad is not None and finding.num_bad != held:
            reason = f"Great Expectations counted {finding.num_bad:,} bad rows, quarantine holds {held:,}"
            finding = dataclasses.replace(finding, status="broken", reason=reason)
        checked.append(finding)
    return checked


def check_results(
    quality: Quality, names: Sequence[str], findings: Sequence[Finding], columns: Sequence[str]
) -> tuple[CheckResult, ...]:
    """Return one record a check, in the spec's order; `columns` are the data's."""
    return tuple(
        CheckResult(
            check=name,
            type=spec.type,
            column=spec.kwargs.get("column"),
            status=finding.status,
            severity=spec.severity,
            bad_rows=finding.num_bad,
            observed=_observed(spec, finding, columns),
            required=required_words(spec, finding.num_bad is not None),
        )
        for name, spec, finding in zip(names, quality.expectations, findings, strict=True)
    )


def broken_reasons(checks: Sequence[CheckResult]) -> list[str]:
    """Return what broke, a line for each check that crashed."""
    return [f"{check.check}: {check.observed}" for check in checks if check.status == "broken"]


@dataclass(frozen=True)
class Reason:
    """Why the data is refused; `check` is the name of the check that failed, if it was one."""

    text: str
    check: str | None = None

    def with_examples(self, examples: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
        """Return the text with a few bad rows, which are given by check as values by column."""
        rows = [
            ", ".join(f"{column}={value_words(value)}" for column, value in row.items())
            for row in examples.get(self.check or "", ())
        ]
        return f"{self.text}, such as {' | '.join(rows)}" if rows else self.text


def refused_reasons(
    quality: Quality, checks: Sequence[CheckResult], findings: Sequence[Finding], num_bad: int, num_rows: int
) -> list[Reason]:
    """Return why the data is refused, the worst first, or nothing when it is not.

    Args:
        quality: The budgets.
        checks: What the checks showed, in the spec's order.
        findings: The same, as it was found.
        num_bad: Rows in quarantine.
        num_rows: Rows in.
    """
    failed = [
        (_overshoot(spec, finding), _refused(check, spec, finding))
        for spec, check, finding in zip(quality.expectations, checks, findings, strict=True)
        if check.status == "failed" and check.severity == "critical"
    ]
    reasons = [reason for _, reason in sorted(failed, key=lambda item: -item[0])]
    share = num_bad / num_rows if num_rows else 0.0
    if share > quality.max_quarantined_share:
        allowed = percent(quality.max_quarantined_share)
        text = f"{num_bad:,} of {num_rows:,} rows are bad ({percent(share)}), at most {allowed} may be"
        reasons.insert(0, Reason(text))
    return reasons


def shortened(reasons: Sequence[str]) -> str:
    """Return the first reasons as one text."""
    more = f"; and {len(reasons) - WORST - 1} more" if len(reasons) > WORST + 1 else ""
    return "; ".join(reasons[: WORST + 1]) + more


def _overshoot(spec: ExpectationSpec, finding: Finding) -> float:
    if finding.num_bad is None:
        return 0.0
    return finding.num_bad / max(finding.num_judged or 0, 1) - (1 - float(spec.kwargs.get("mostly", 1)))


def _refused(check: CheckResult, spec: ExpectationSpec, finding: Finding) -> Reason:
    if finding.num_bad is None:
        return Reason(f"{check.check} is {check.observed}, must be {check.required}")
    allowed = percent(1 - spec.kwargs.get("mostly", 1))
    return Reason(f"{check.check}: {check.observed}, at most {allowed} may be", check.check)


def _observed(spec: ExpectationSpec, finding: Finding, columns: Sequence[str]) -> str:
    if finding.status == "broken":
        absent = [name for name in named_columns(spec.kwargs) if name not in columns]
        return "; ".join(f"no column is named {name!r}; {choices(name, columns)}" for name in absent) or finding.reason
    if finding.num_bad is not None:
        return rows_words(finding.num_bad, finding.num_judged or 0)
    if spec.type == "expect_column_to_exist":
        return "it is there" if finding.status == "passed" else "it is not there"
    if spec.type == "expect_column_distinct_values_to_be_in_set":
        return f"{value_words(finding.observed)} values outside the set"
    return value_words(finding.observed)
