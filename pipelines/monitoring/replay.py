"""What a replay of past months comes to: what retraining gained over the frozen champion, and what it cost.

Three models answer the same months: the first champion, frozen; whatever really served; and an oracle that is trained
again before every month. The oracle's gain is what there was to win.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from pipelines.monitoring.headline import number
from pipelines.records import Record
from pipelines.spec.metrics import lower_is_better

COLUMNS = ("window", "frozen", "served", "by", "oracle", "gain", "drifted", "alarms", "decision")


class Score(Record):
    """A metric on one month, and its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class ReplayMonth(Record):
    """One month of a replay; a score is None where its model did not answer, or no labels came.

    `outcome` and `reason` are the decision after the month, in its own words. `retrained`: a training ran on it, whose
    model, where `promoted_version` names it, serves from the next month on. `is_oracle_retrained`: the oracle was
    trained again before this month.
    """

    window_name: str
    frozen: Score | None = None
    served: Score | None = None
    served_version: int | None = None
    oracle: Score | None = None
    num_drifted: int = 0
    num_alarms: int = 0
    outcome: Literal["none", "start", "fold", "known"] = "none"
    reason: str = ""
    retrained: bool = False
    promoted_version: int | None = None
    is_oracle_retrained: bool = True


class ReplaySummary(Record):
    """What a replay came to, over the months in which all three models were measured.

    `mean_gain` is served minus frozen, `oracle_gain` oracle minus frozen, both turned so that more is better, in the
    metric's own unit. `share_kept` is the first over the second; None where the oracle gains nothing. A retraining
    after the last month could serve none of them, and is not counted.
    """

    metric: str
    num_months: int
    num_better: int
    mean_gain: float | None
    oracle_gain: float | None
    share_kept: float | None
    num_retrainings: int
    num_promoted: int
    num_oracle_retrainings: int


def summarize(months: Sequence[ReplayMonth], metric: str) -> ReplaySummary:
    """Return what a replay came to.

    Args:
        months: Oldest first.
        metric: What was measured; of one where less is better, the gains are turned.
    """
    served = months[:-1]  # what the last month asks for serves none of these months
    gains = [gain for month in months if (gain := _gains(month, metric)) is not None]
    mean_gain = fmean(served for served, _ in gains) if gains else None
    oracle_gain = fmean(oracle for _, oracle in gains) if gains else None
    worth = mean_gain is not None and oracle_gain is not None and oracle_gain > 0
    return ReplaySummary(
        metric=metric,
        num_months=len(gains),
        num_better=sum(served > 0 for served, _ in gains),
        mean_gain=mean_gain,
        oracle_gain=oracle_gain,
        share_kept=mean_gain / oracle_gain if worth and mean_gain is not None and oracle_gain is not None else None,
        num_retrainings=sum(month.retrained for month in served),
        num_promoted=sum(month.promoted_version is not None for month in served),
        num_oracle_retrainings=sum(month.oracle is not None and month.is_oracle_retrained for month in months),
    )


def in_sentences(summary: ReplaySummary) -> tuple[str, ...]:
    """Return what a replay came to, in one or two sentences."""
    runs = f"{summary.num_retrainings} retraining{'' if summary.num_retrainings == 1 else 's'}"
    asked = f"{runs} ran, {summary.num_promoted} promoted; the oracle took {summary.num_oracle_retrainings}."
    if summary.mean_gain is None or summary.oracle_gain is None:
        return ("No month has figures of all three models yet.", asked)
    kept = "" if summary.share_kept is None else f"; {summary.share_kept:.0%} of that was kept"
    better = f"better in {summary.num_better} of {summary.num_months} months"
    return (
        f"What served gained {summary.mean_gain:+.4f} {summary.metric} a month over the frozen champion ({better}); "
        f"the oracle gained {summary.oracle_gain:+.4f}{kept}.",
        asked,
    )


def table_rows(months: Sequence[ReplayMonth], metric: str) -> list[tuple[str, ...]]:
    """Return a row of text a month, in the order of `COLUMNS`."""
    return [_row(month, metric) for month in months]


def decision_in_words(month: ReplayMonth) -> str:
    """Return what was decided after a month, why, and what came of it."""
    asked = {"none": "no", "start": "retrain", "fold": "retrain, with one asked before", "known": "asked before"}
    said = f"{asked[month.outcome]}: {month.reason.rstrip('. ')}" if month.reason else asked[month.outcome]
    if month.promoted_version is not None:
        return f"{said}; version {month.promoted_version} promoted"
    return f"{said}; not promoted" if month.retrained else said


def _row(month: ReplayMonth, metric: str) -> tuple[str, ...]:
    gain = None if month.served is None or month.frozen is None else month.served.value - month.frozen.value
    return (
        month.window_name,
        number(month.frozen.value if month.frozen else None),
        number(month.served.value if month.served else None),
        "–" if month.served_version is None else f"v{month.served_version}",
        number(month.oracle.value if month.oracle else None),
        "–" if gain is None else f"{_turned(gain, metric) + 0.0:+.3f}",
        str(month.num_drifted),
        str(month.num_alarms),
        decision_in_words(month),
    )


def _gains(month: ReplayMonth, metric: str) -> tuple[float, float] | None:
    if month.frozen is None or month.served is None or month.oracle is None:
        return None
    frozen = month.frozen.value
    return _turned(month.served.value - frozen, metric), _turned(month.oracle.value - frozen, metric)


def _turned(difference: float, metric: str) -> float:
    return -difference if lower_is_better(metric) else difference
