"""Say what came of looking at the newest window in one sentence, and how loud it must be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.records.monitoring import Anomaly, Decided, MonitoringReport, PerformanceValue, Severity

_ASKED = {
    "start": "Retraining asked for",
    "fold": "Retraining asked for, together with what was asked before",
    "known": "Retraining was asked for before",
}


@dataclass(frozen=True)
class Headline:
    """The sentence; `kind` is its colour on the page; `reasons` are what does not fit into it."""

    kind: Literal["passed", "warning", "failed"]
    sentence: str
    reasons: tuple[str, ...]


def headline(newest: MonitoringReport, decided: Decided | None, metric: str) -> Headline:
    """Return the headline of a page.

    Args:
        newest: The newest window's report.
        decided: What was decided about it; None where nothing was yet.
        metric: The metric that decides.
    """
    alarms = alarms_in_words(newest.anomalies)
    found = findings(newest, metric)
    is_warning = bool(found) or _known(newest, metric) is None
    if decided is None:
        return _headline("Not decided yet", found or (nothing_found(newest, metric),), alarms, is_warning)
    if decided.outcome != "none":
        return _headline(_ASKED[decided.outcome], decided.reasons, alarms, is_warning=True)
    start = "No retraining" if found else "Nothing to do"
    return _headline(start, decided.reasons or found or (nothing_found(newest, metric),), alarms, is_warning)


def findings(newest: MonitoringReport, metric: str) -> tuple[str, ...]:
    """Return what the newest window shows that may be reason to train again, each in a sentence without its end."""
    dropped = [one for one in (*newest.performance, *newest.estimates) if one.metric == metric and one.dropped]
    lasting = [one.column for one in (*newest.columns, *newest.predictions) if one.persistent]
    found = [f"{metric} {one.source} {in_words(one)}, was {number(one.reference)}" for one in dropped]
    if lasting:
        shown = ", ".join(lasting[:3]) + (f" and {len(lasting) - 3} more" if len(lasting) > 3 else "")
        found.append(f"{'drift lasts' if len(lasting) == 1 else f'{len(lasting)} columns drift and last'}: {shown}")
    return tuple(found)


def nothing_found(newest: MonitoringReport, metric: str) -> str:
    """Return why there is nothing to say against the champion, with the figure that this rests on."""
    known = _known(newest, metric)
    if known is None:
        return f"{metric} of {newest.window_name} is not known, and no column drifts for long"
    return f"{metric} {known.source} {in_words(known)} holds against {number(known.reference)}"


def _known(newest: MonitoringReport, metric: str) -> PerformanceValue | None:
    values = [one for one in (*newest.performance, *newest.estimates) if one.metric == metric]
    return next((one for one in values if one.value is not None), None)


def in_words(value: PerformanceValue) -> str:
    """Return a figure with its interval.

    >>> value = PerformanceValue(metric="roc_auc", source="measured", value=0.7, low=0.69, high=0.71, reference=None,
    ...                          num_rows=9, dropped=False)
    >>> in_words(value)
    '0.700 [0.690, 0.710]'
    """
    if value.value is None:
        return "not known"
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def alarms_in_words(anomalies: Sequence[Anomaly]) -> str:
    """Return how many alarms of which severity stand, or nothing; what is only for information is not counted."""
    severities: tuple[Severity, ...] = ("critical", "warning")
    counts = {kind: sum(one.severity == kind for one in anomalies) for kind in severities}
    parts = [f"{count} {kind} alarm{'' if count == 1 else 's'}" for kind, count in counts.items() if count]
    return " and ".join(parts)


def _headline(start: str, reasons: Sequence[str], alarms: str, is_warning: bool) -> Headline:
    first, *rest = (reason.rstrip(". ") for reason in reasons) if reasons else ("no reason is recorded",)
    end = f". {alarms[0].upper()}{alarms[1:]} in the newest window" if alarms else ""
    kind: Literal["passed", "warning", "failed"] = (
        "failed" if "critical" in alarms else "warning" if is_warning or alarms else "passed"
    )
    return Headline(kind, f"{start}: {first}{end}.", tuple(f"{reason}." for reason in rest))


def number(value: float | None) -> str:
    """Return a figure in as many digits as matter; a dash where it is not known.

    >>> number(0.70812), number(1234.56), number(None), number(0.00012)
    ('0.708', '1,234.6', '–', '0.00012')
    """
    if value is None:
        return "–"
    if value and abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
