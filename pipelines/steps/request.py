"""Take requests for a retraining, and decide into which run each goes: one run for as many as come before it begins.

A request is stored before it is decided, and decided before anybody tells Airflow of its run. Killed in between, the
next `sweep` decides what is stored, and every later answer names the run that Airflow must hold. Triggering it again
changes nothing, since its id follows from the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pipelines.errors import UsageError
from pipelines.monitoring.policy import Taken, moment_of, take, text_of
from pipelines.records import Decided, DecisionEntry, DecisionState, RetrainingRequest
from pipelines.registry.decisions import (
    append_decision,
    find_requests,
    last_decision,
    put_request,
    read_request,
    state_after,
    stored_request_ids,
)
from pipelines.steps.context import Context
from pipelines.steps.gpu_hours import forecast_gpu_hours

WRITERS = 16


def request(context: Context, wanted: RetrainingRequest, as_of: str | None = None) -> Decided:
    """Store a request, and decide into which run it goes.

    Args:
        context: The model's surroundings.
        wanted: What is asked, and why.
        as_of: The moment that it is about, ISO 8601; the present where left out.

    Returns:
        `start`, `fold` or `known`, each with the id of a run that Airflow must hold, to begin at `run_after`.

    Raises:
        UsageError: If the request is of another model, or its moment is no time or lies more than a day ahead.
        IntegrityError: If the chain of decisions was altered.
        StoreError: If the store does not answer, or others were first too often; asking again is safe.
    """
    return decide_requests(context, [wanted], as_of)[0]


def decide_requests(context: Context, wanted: Sequence[RetrainingRequest], as_of: str | None = None) -> list[Decided]:
    """Store requests and decide all of them by one entry; return one answer each, in their order. Raises as `request`.

    Where one of them cannot be right, none is stored.
    """
    now, model = datetime.now(UTC), context.spec.name
    moment = moment_of(as_of, now)
    for one in wanted:
        if one.model != model:
            raise UsageError(
                f"The request is for model {one.model!r}, and was handed to {model!r}. Nothing was stored."
            )
    asked = [one if one.at else one.model_copy(update={"at": text_of(now)}) for one in wanted]
    head = last_decision(context.store, model)  # before they are stored: who decides one that is new comes after it
    return _decide(context, asked, moment, head)


def sweep(context: Context, as_of: str | None = None) -> Decided:
    """Decide the requests that were stored and never decided, and name the run that is pending.

    Returns:
        `known` with the pending run, so that whoever calls can tell Airflow of it again; `none` where none is pending.

    Raises:
        UsageError, IntegrityError, StoreError: As `request`.
    """
    store, model = context.store, context.spec.name
    moment = moment_of(as_of, datetime.now(UTC))
    head = last_decision(store, model)
    stored = stored_request_ids(store, model)
    if len(stored) != state_after(head).num_requests:
        head = last_decision(store, model)  # requests that came while they were listed may be decided by now
        decided = find_requests(store, model, head, stored)
        forgotten = [read_request(store, model, one) for one in stored if one not in decided]
        _decide(context, forgotten, moment, head)
        head = last_decision(store, model)
    pending = state_after(head).pending
    return Decided(
        model=model,
        outcome="known" if pending else "none",
        request_id=None,
        run_id=pending.run_id if pending else None,
        run_after=pending.run_after if pending else None,
        reasons=pending.why if pending else ("no retraining is pending",),
        entry_seq=head.seq if head else None,
        as_of=text_of(moment),
    )


def _decide(
    context: Context, batch: Sequence[RetrainingRequest], as_of: datetime, head: DecisionEntry | None
) -> list[Decided]:
    """Decide requests. `head` was read before any was stored that is new: who decides one of these comes after it."""
    if not batch:
        return []
    store, model, rules = context.store, context.spec.name, context.spec.retraining
    by_id = dict[str, RetrainingRequest]()
    for one in batch:
        by_id.setdefault(one.id, one)
    known = find_requests(store, model, head, _stored_before(context, list(by_id.values())))
    hours = forecast_gpu_hours(context) if rules.weekly_gpu_hours is not None else 0.0
    taken: Taken | None = None

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any] | None:
        nonlocal taken
        known.update({request_id: entry for entry in missed for request_id in entry.requests if request_id in by_id})
        new = [one for request_id, one in by_id.items() if request_id not in known]
        if not new:
            return None
        taken = take(state, new, rules, as_of, hours)
        return {
            "action": "requested",
            "requests": tuple(one.id for one in new),
            "run_id": taken.run.run_id,
            "run_after": taken.run.run_after,
            "reasons": taken.reasons,
            "by": new[0].by,
            "at": text_of(datetime.now(UTC)),
            "as_of": text_of(as_of),
            "state": taken.state,
        }

    entry = append_decision(store, model, head, draft)
    return _answers(batch, as_of, known, entry, is_new=taken is not None and taken.is_new)


def _stored_before(context: Context, requests: Sequence[RetrainingRequest]) -> list[str]:
    """Store the requests, and return the ids of those that were stored before."""
    if len(requests) == 1:
        stored = [put_request(context.store, requests[0])]
    else:
        with ThreadPoolExecutor(min(WRITERS, len(requests))) as pool:
            stored = list(pool.map(lambda one: put_request(context.store, one), requests))
    return [one.id for one, is_new in zip(requests, stored, strict=True) if not is_new]


def _answers(
    batch: Sequence[RetrainingRequest],
    as_of: datetime,
    known: Mapping[str, DecisionEntry],
    entry: DecisionEntry | None,
    *,
    is_new: bool,
) -> list[Decided]:
    answers, outcome = list[Decided](), "start" if is_new else "fold"
    answered = set(known)
    for one in batch:
        decided_by = known.get(one.id) or entry
        assert decided_by is not None
        answers.append(
            Decided(
                model=one.model,
                outcome="known" if one.id in answered else outcome,
                request_id=one.id,
                run_id=decided_by.run_id,
                run_after=decided_by.run_after,
                reasons=decided_by.reasons,
                entry_seq=decided_by.seq,
                as_of=text_of(as_of),
            )
        )
        if one.id not in answered:
            answered.add(one.id)
            outcome = "fold"  # the first has made the run that the others go into
    return answers
