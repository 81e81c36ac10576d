"""Say which run this is, record that it has begun, and fix what it is to do: the first step of every training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipelines.errors import UsageError
from pipelines.monitoring.policy import begin_run, moment_of, retraining_of, text_of
from pipelines.records import DecisionEntry, DecisionState, RunRequest
from pipelines.registry.decisions import append_decision, find_begun, last_decision
from pipelines.steps.context import Context
from pipelines.steps.gpu_hours import forecast_gpu_hours


def begin(context: Context, asked: RunRequest) -> RunRequest:
    """Append `begun` to the chain of decisions, once for a run, and return what the run is to do.

    For the retraining run that is pending this follows from its requests and the spec: the data up to the newest moment
    that they are about, the spec's budget for retraining, the reasons as its note. From here on it takes no more
    requests; the next one makes the next run. Any other run does what was asked, and counts for cooldown and budgets
    as well. A run whose id looks like a retraining's, and that nobody decided, is such another run.

    Args:
        context: The model's surroundings.
        asked: What the form, the call or the shell asks, with the run's own id; `as_of` is the present where left out.

    Returns:
        The same record however often the same run begins.

    Raises:
        UsageError: If the run has no id, or its moment is no time or lies more than a day ahead.
        IntegrityError: If the chain of decisions was altered.
        StoreError: If the store does not answer; beginning again is safe.
    """
    if not asked.run_id:
        raise UsageError("A training run needs an id to begin; found none. Nothing was run.")
    store, model = context.within(asked.replay).store, context.spec.name
    now = datetime.now(UTC)
    moment = moment_of(asked.as_of, now)
    head = last_decision(store, model)
    earlier = find_begun(store, model, head, asked.run_id)
    hours = forecast_gpu_hours(context) if context.spec.retraining.weekly_gpu_hours is not None else 0.0

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any] | None:
        nonlocal earlier
        same = [entry for entry in missed if (entry.action, entry.run_id) == ("begun", asked.run_id)]
        earlier = same[0] if same else earlier
        if earlier is not None:
            return None
        as_of, run = _told(context, asked, state, moment)
        return {
            "action": "begun",
            "run_id": asked.run_id,
            "reasons": (run.note,) if run.note else (),
            "asked": run,
            "by": asked.by,
            "at": text_of(now),
            "as_of": text_of(as_of),
            "state": begin_run(state, asked.run_id, as_of, hours),
        }

    entry = append_decision(store, model, head, draft) or earlier
    assert entry is not None
    assert entry.asked is not None
    return entry.asked


def _told(context: Context, asked: RunRequest, state: DecisionState, moment: datetime) -> tuple[datetime, RunRequest]:
    """Return the moment at which the run begins, and what it is to do."""
    pending = state.pending
    if pending is None or pending.run_id != asked.run_id:
        return moment, asked.model_copy(update={"as_of": text_of(moment)})
    moment = max(moment, datetime.fromisoformat(pending.run_after))  # in a replay nobody has waited until then
    return moment, retraining_of(context.spec, pending).model_copy(
        update={"as_of": text_of(moment), "replay": asked.replay}
    )
