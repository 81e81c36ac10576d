"""Whether what monitoring found is reason enough to train again: pure, and each answer says why in words.

Drift alone warns. What asks for a retraining is what the spec names in `retraining.reasons`, seen in K of the last N
windows and in the newest of them, on enough new labelled rows for the gate to be able to say yes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.records import MonitoringReport, PerformanceValue, Reason, RetrainingRequest
from pipelines.spec import ModelSpec
from pipelines.spec.watching import KOfN


@dataclass(frozen=True)
class Found:
    """What the reports call for: `reason` is None where nothing asks for a retraining; `sentences` say why."""

    reason: Reason | None
    sentences: tuple[str, ...]


def deciding_metric(spec: ModelSpec) -> str:
    """Return the metric by which a champion is watched.

    That is the spec's own, else the first that a gate rule bounds and that can be measured in service: what only suites
    tell, such as toxicity, cannot. Where no rule bounds such a metric it is the first of them.
    """
    ruled = (rule.metric for rule in spec.gates.rules if rule.metric in spec.served_metrics)
    return spec.monitoring.performance.metric or next(ruled, spec.served_metrics[0])


def find_reason(history: Sequence[MonitoringReport], spec: ModelSpec, champion_ledger_sha256: str) -> Found:
    """Return whether the windows so far ask for a retraining.

    Args:
        history: The newest report of each window, oldest first; the last one is the window in question.
        spec: The model's spec.
        champion_ledger_sha256: The entry by which the champion serves: how another version did says nothing of it.
    """
    if not history:
        return Found(None, ("no window was monitored yet",))
    newest, settings = history[-1], spec.retraining
    own = [report for report in history if report.champion_ledger_sha256 == champion_ledger_sha256]
    if not own or own[-1] is not newest:
        return Found(None, (f"window {newest.window_name} was scored by a version that serves no more",))
    metric, persistence = deciding_metric(spec), spec.monitoring.performance.persistence
    signals: tuple[tuple[str, Reason, tuple[bool, str]], ...] = (
        ("performance", "performance", _dropped([one.performance for one in own], metric, persistence, "measured")),
        ("estimate", "performance", _dropped([one.estimates for one in own], metric, persistence, "estimated")),
        ("drift", "drift", _drifted(own, spec)),
    )
    asked = [(reason, sentence) for name, reason, (seen, sentence) in signals if seen and name in settings.reasons]
    silent = [f"{sentence}, which only warns" if seen else sentence for _, _, (seen, sentence) in signals]
    if not asked:
        return Found(None, tuple(silent))
    sentences = tuple(sentence for _, sentence in asked)
    if newest.num_new_labelled_rows < settings.minimum_new_rows:
        few = (
            f"but only {newest.num_new_labelled_rows:,} labelled rows are new, and retraining.minimum_new_rows asks "
            f"for {settings.minimum_new_rows:,}"
        )
        return Found(None, (*sentences, few))
    return Found(asked[0][0], sentences)


def request_for(
    found: Found, history: Sequence[MonitoringReport], champion_ledger_sha256: str, by: str, replay: str | None = None
) -> RetrainingRequest:
    """Return the request that a reason makes; its identity is champion, window and what the report was made from.

    A replay's has the replay in it: its run must not pass for the real one, nor for that of another replay.
    """
    newest = history[-1]
    if found.reason is None:
        raise ValueError("nothing asks for a retraining")
    evidence = {
        "champion": champion_ledger_sha256,
        "window": newest.window_name,
        "inputs": newest.inputs_sha256,
        **({} if replay is None else {"replay": replay}),
    }
    return RetrainingRequest(
        model=newest.model, reason=found.reason, evidence=evidence, note="; ".join(found.sentences), by=by
    )


def _dropped(
    windows: Sequence[Sequence[PerformanceValue]], metric: str, persistence: KOfN, source: str
) -> tuple[bool, str]:
    values = [next((value for value in window if value.metric == metric), None) for window in windows]
    values = values[-persistence.windows :]
    newest = values[-1]
    if newest is None or newest.value is None:
        return False, f"{metric} was not {source}"
    times = sum(value is not None and value.dropped for value in values)
    against = "" if newest.reference is None else f" against {newest.reference:.3f} at its promotion"
    seen = f"{source} {metric} is {newest.value:.3f}{against}"
    if newest.dropped and times >= persistence.needed:
        return True, f"{seen}, dropped in {times} of the last {len(values)} windows"
    if newest.dropped:
        return (
            False,
            f"{seen}, dropped in {times} of the last {persistence.windows} windows and {persistence.needed} are needed",
        )
    return False, f"{seen}, not dropped"


def _drifted(own: Sequence[MonitoringReport], spec: ModelSpec) -> tuple[bool, str]:
    newest, settings = own[-1], spec.monitoring.drift
    columns = sorted((one for one in newest.columns if one.persistent), key=lambda one: -one.weight)
    if not columns:
        return False, "no column has drifted for long"
    weight = sum(one.weight for one in columns)
    names = ", ".join(one.column for one in columns[:3]) + (f" and {len(columns) - 3} more" if len(columns) > 3 else "")
    seen = f"{names} drifted in {settings.persistence.needed} of {settings.persistence.windows} windows"
    if weight < settings.minimum_weight:
        return False, f"{seen}, but hold only {weight:.0%} of what the champion relies on"
    return True, f"{seen} and hold {weight:.0%} of what the champion relies on"
