"""Judge the evidence by the rules: promote, hold or reject, with every reason.

A pure function: no store, no clock, no environment variable, no argument that waves a candidate through. The outcome
is the worst of all results, and a candidate is promoted only where at least one rule was judged and every one holds.

An absolute rule (`minimum`, `maximum`) is a bound that a person wrote down in the metric's unit. It is held to the
value on the holdout, bounds inclusive; the interval stands in the reason for the reader. Where it fails: reject.

A relative rule (`no_worse_than_champion_by`) is a non-inferiority test at one-sided 2.5 %. Let d be challenger minus
champion, turned so that more is better, with its two-sided 95 % paired interval:

    interval wholly at or above -margin   promote   no loss beyond the margin is credible
    interval wholly below -margin         reject    a loss beyond the margin is shown
    interval across -margin               hold      the holdout cannot tell; the reason says how many rows could

A better point estimate does not shorten this: where the interval reaches past the margin, chance alone makes worse
models look better, and a gate that promotes on that walks at random. Who finds it too strict widens the margin, which
is the loss they can bear, or takes more holdout rows. A margin of 0 lets an equal model pass and asks any other to be
shown better. Each slice is tested by itself and all must hold, so more slices hold more and never promote more.

A fine-tuned language model is held to the pretrained one it came from in the same way (`no_worse_than_base_by`: what
fine-tuning may lose), and in the other (`better_than_base_by`: what it must gain), a superiority test on the paired
difference d of challenger minus base:

    interval wholly at or above margin    promote   the gain is shown; with a margin of 0 it must be above 0
    interval wholly below margin          reject    a gain that large is ruled out
    interval across margin                hold

    no champion yet                       rules against it do not apply, and say so; the others decide
    no base measured                      reject: a rule against the base speaks of every fine-tuned model
    champion learnt from holdout rows     hold: its score is flattered and the comparison unfair
    fewer than `minimum_rows` rows        hold
    slice below `minimum_slice_rows`      reported, not judged
    nothing left to judge                 hold
    metric, slice or interval unmeasured  reject: missing, None, NaN, infinite, or there twice
    no rules                              reject

Source: ICH E9, Statistical Principles for Clinical Trials (1998), section 3.3.2 (non-inferiority by a confidence
interval, one-sided 2.5 %).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pipelines.gates import wording
from pipelines.records import Evaluation, MetricValue, Outcome, PairedDifference, RuleResult
from pipelines.spec.gates import GateRule, Gates
from pipelines.spec.metrics import KNOWN_METRICS, lower_is_better

OVERALL = "all"
_SEVERITY: dict[Outcome, int] = {"promote": 0, "hold": 1, "reject": 2}
_Figure = TypeVar("_Figure", MetricValue, PairedDifference)


@dataclass(frozen=True)
class _Finding:
    result: RuleResult
    was_judged: bool = True


def judge(evaluation: Evaluation, gates: Gates) -> tuple[Outcome, tuple[RuleResult, ...]]:
    """Return the outcome and one result for each rule, bound and slice, in the order of the rules.

    Args:
        evaluation: The evidence.
        gates: The rules.

    Returns:
        The worst outcome of all results, and the results. Never `promote` without a rule that was judged and holds.
    """
    findings = [_enough_rows(evaluation, gates)]
    for rule in gates.rules:
        findings += _held_to(rule, evaluation, gates)
    if not gates.rules:
        findings.append(_finding("rules", "reject", "there is no rule, and nothing is promoted without one"))
    elif not any(finding.was_judged for finding in findings):
        reason = "no rule could be judged: give at least one minimum or maximum that applies without a champion"
        findings.append(_finding("rules", "hold", reason))
    results = tuple(finding.result for finding in findings)
    return max((result.outcome for result in results), key=_SEVERITY.__getitem__), results


def _enough_rows(evaluation: Evaluation, gates: Gates) -> _Finding:
    enough = evaluation.num_rows >= gates.minimum_rows
    reason = f"the holdout has {evaluation.num_rows:,} rows, needs >= {gates.minimum_rows:,}"
    return _finding("minimum_rows", "promote" if enough else "hold", reason, was_judged=False)


def _held_to(rule: GateRule, evaluation: Evaluation, gates: Gates) -> Iterator[_Finding]:
    slices = [OVERALL] if rule.slice is None else _values_of(rule.slice, evaluation)
    if not slices:
        name = f"{rule.metric} on {rule.slice}"
        yield _finding(name, "reject", f"{name} was not measured: the evaluation has no slice of {rule.slice}")
    for slice_name in slices:
        rows = _rows_by_slice(evaluation).get(slice_name, 0)
        if rule.slice is not None and rows < gates.minimum_slice_rows:
            reason = f"{slice_name} has {rows:,} rows, fewer than {gates.minimum_slice_rows:,}: reported, not judged"
            yield _finding(f"{rule.metric} on {slice_name}", "promote", reason, was_judged=False)
            continue
        if rule.minimum is not None:
            yield _absolute(rule.metric, slice_name, evaluation, ">=", rule.minimum)
        if rule.maximum is not None:
            yield _absolute(rule.metric, slice_name, evaluation, "<=", rule.maximum)
        if rule.no_worse_than_champion_by is not None:
            yield _against_champion(rule.metric, slice_name, evaluation, rule.no_worse_than_champion_by)
        if rule.better_than_base_by is not None:
            yield _against_base(rule.metric, slice_name, evaluation, rule.better_than_base_by, gain=True)
        if rule.no_worse_than_base_by is not None:
            yield _against_base(rule.metric, slice_name, evaluation, rule.no_worse_than_base_by, gain=False)


def _absolute(metric: str, slice_name: str, evaluation: Evaluation, sign: str, bound: float) -> _Finding:
    name = f"{metric} {sign} {bound:g} on {slice_name}"
    measured = _the_one(evaluation.metrics, metric, slice_name)
    if measured is None or measured.value is None or not math.isfinite(measured.value):
        return _finding(name, "reject", f"{wording.place(metric, slice_name)} was not measured, needs {sign} {bound:g}")
    holds = measured.value >= bound if sign == ">=" else measured.value <= bound
    return _finding(name, "promote" if holds else "reject", wording.absolute(measured, sign, bound))


def _against_champion(metric: str, slice_name: str, evaluation: Evaluation, margin: float) -> _Finding:
    name = f"{metric} no worse than champion by {margin:g} on {slice_name}"
    if not _has_champion(evaluation):
        reason = f"{wording.place(metric, slice_name)}: no champion yet, nothing to compare with"
        return _finding(name, "promote", reason, was_judged=False)
    if evaluation.champion_saw_holdout is not None:
        reason = f"{wording.place(metric, slice_name)}: the comparison is unfair, {evaluation.champion_saw_holdout}"
        return _finding(name, "hold", reason)
    difference = _the_one(evaluation.differences, metric, slice_name)
    return _compared(name, metric, slice_name, difference, wording.Needed(margin))


def _against_base(metric: str, slice_name: str, evaluation: Evaluation, margin: float, gain: bool) -> _Finding:
    name = f"{metric} {'better' if gain else 'no worse'} than base by {margin:g} on {slice_name}"
    difference = None
    if evaluation.base_sha256 is not None:
        difference = _the_one(evaluation.base_differences, metric, slice_name)
    return _compared(name, metric, slice_name, difference, wording.Needed(margin, "base", gain))


def _compared(
    name: str, metric: str, slice_name: str, difference: PairedDifference | None, needed: wording.Needed
) -> _Finding:
    if metric not in KNOWN_METRICS or difference is None or not _is_whole(difference):
        reason = f"{wording.place(metric, slice_name)}: the difference to the {needed.other} was not measured"
        return _finding(name, "reject", reason)
    turned = lower_is_better(metric)
    outcome = _outcome(difference, turned, needed)
    return _finding(name, outcome, wording.relative(difference, turned, needed, outcome))


def _outcome(difference: PairedDifference, turned: bool, needed: wording.Needed) -> Outcome:
    assert difference.low is not None
    assert difference.high is not None
    worst, best = (-difference.high, -difference.low) if turned else (difference.low, difference.high)
    if needed.is_met_by(worst):
        return "promote"
    return "hold" if needed.is_met_by(best) else "reject"


def _has_champion(evaluation: Evaluation) -> bool:
    """Tell whether anything speaks of a champion: a half-filled record must not pass for a first model."""
    named = evaluation.champion_version is not None or evaluation.champion_ledger_sha256 is not None
    return named or bool(evaluation.champion_metrics or evaluation.differences)


def _values_of(column: str, evaluation: Evaluation) -> list[str]:
    """Return the column's slices that any figure speaks of: one without the rule's metric is unmeasured, not absent."""
    return [name for name in _rows_by_slice(evaluation) if name.startswith(f"{column}=")]


def _rows_by_slice(evaluation: Evaluation) -> dict[str, int]:
    """Return the most rows that any figure claims for a slice: no slice is called small while one calls it large."""
    rows: dict[str, int] = {}
    values = (*evaluation.metrics, *evaluation.champion_metrics, *evaluation.base_metrics)
    differences = (*evaluation.differences, *evaluation.base_differences)
    for figures in (values, differences):
        for figure in figures:
            rows[figure.slice] = max(figure.num_rows, rows.get(figure.slice, 0))
    return rows


def _the_one(figures: tuple[_Figure, ...], metric: str, slice_name: str) -> _Figure | None:
    found = [figure for figure in figures if figure.metric == metric and figure.slice == slice_name]
    return found[0] if len(found) == 1 else None


def _is_whole(difference: PairedDifference) -> bool:
    numbers = (difference.value, difference.low, difference.high)
    return all(number is not None and math.isfinite(number) for number in numbers)


def _finding(rule: str, outcome: Outcome, reason: str, was_judged: bool = True) -> _Finding:
    return _Finding(RuleResult(rule=rule, outcome=outcome, reason=reason), was_judged)
