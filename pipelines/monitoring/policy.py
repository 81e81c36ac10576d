"""Decide when a retraining may begin, and into which run a request goes. Pure: every input is given, nothing is read.

At most one run of a model is pending, that is made and not begun. A request starts one, to begin as soon as cooldown
and weekly budgets allow, or goes into the one that is pending: so none is lost, none makes a second run, and Airflow,
which holds the run until its time, is the only clock. What a person starts is held by nothing, and counts; it does not
move a run that is pending. The newest moment that any decision was about is never gone back from: an event that comes
late is answered with what is known now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipelines.errors import UsageError
from pipelines.records import BegunRun, DecisionState, PendingRun, RetrainingRequest, RunRequest, Window, sha256_of
from pipelines.spec import ModelSpec
from pipelines.spec.watching import Retraining

WEEK = timedelta(days=7)
MOST_AHEAD = timedelta(days=1)  # clocks differ, and a day may have begun elsewhere
MOST_WHYS = 5
LONGEST_WHY = 300  # each decision holds them; the request has its whole note


class Taken(NamedTuple):
    """What came of requests: the state after them, whether a run was made for them, and why it begins when it does."""

    state: DecisionState
    run: PendingRun
    is_new: bool
    reasons: tuple[str, ...]


def moment_of(as_of: str | None, now: datetime) -> datetime:
    """Return the moment, in UTC, that a decision is about: `now` where none is named, UTC where it names no zone.

    Raises:
        UsageError: If it is no ISO 8601 time, or more than a day after `now`.
    """
    if as_of is None:
        return now.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise UsageError(
            f"The moment that this is about is {as_of!r}; allowed is an ISO 8601 time, such as 2013-05-01T00:00:00Z. "
            "Nothing was decided."
        ) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment - now > MOST_AHEAD:
        raise UsageError(
            f"The moment that this is about is {text_of(moment)}, and it is {text_of(now.astimezone(UTC))} now: it may "
            "lie a day ahead at most. Nothing was decided."
        )
    return moment


def text_of(moment: datetime) -> str:
    """Return a moment as every record of decisions has it: UTC, ISO 8601."""
    return moment.astimezone(UTC).isoformat()


def run_id_of(model: str, request_id: str) -> str:
    """Return the id of the run that a request starts: the same for the same request, so that Airflow takes it once."""
    return f"retrain__{sha256_of({'model': model, 'request': request_id})[:16]}"


def take(
    state: DecisionState, requests: Sequence[RetrainingRequest], rules: Retraining, as_of: datetime, gpu_hours: float
) -> Taken:
    """Take requests that nobody has decided into the pending run, or into a new one.

    Args:
        state: What is known before.
        requests: One or more, of one model, each with another id.
        rules: The spec's.
        as_of: The newest moment that they are about.
        gpu_hours: What the planner forecasts of a run; 0 where unknown.
    """
    latest = _latest(state, as_of)
    whys = tuple(dict.fromkeys(_why(request) for request in requests))
    pending, reasons = state.pending, tuple[str, ...]()
    is_new = pending is None
    if pending is None:
        start, reasons = next_start(state.begun, rules, latest, gpu_hours)
        pending = PendingRun(
            run_id=run_id_of(requests[0].model, requests[0].id),
            run_after=text_of(start),
            as_of=text_of(latest),
            num_requests=len(requests),
            why=whys[:MOST_WHYS],
            by=requests[0].by,
        )
    else:
        reasons = (f"goes into {pending.run_id}, which may begin from {_said(pending.run_after)} on",)
        pending = pending.model_copy(
            update={
                "as_of": text_of(max(latest, datetime.fromisoformat(pending.as_of))),
                "num_requests": pending.num_requests + len(requests),
                "why": tuple(dict.fromkeys([*pending.why, *whys]))[:MOST_WHYS],
            }
        )
    after = state.model_copy(
        update={"as_of": text_of(latest), "pending": pending, "num_requests": state.num_requests + len(requests)}
    )
    return Taken(after, pending, is_new, (*whys[:MOST_WHYS], *reasons))


def next_start(
    begun: Sequence[BegunRun], rules: Retraining, as_of: datetime, gpu_hours: float
) -> tuple[datetime, tuple[str, ...]]:
    """Return the first moment from `as_of` on at which a run may begin, and a sentence for each rule that holds it.

    A week is the 7 days up to and with that moment. A run whose forecast alone is above the budget of GPU hours begins
    when none has begun for a week: a budget delays, it does not forbid.
    """
    if not begun:
        return as_of, ()
    runs = sorted((datetime.fromisoformat(run.as_of), run.gpu_hours, run.run_id) for run in begun)
    last, _, last_id = runs[-1]
    start, reasons = max(as_of, last + timedelta(days=rules.cooldown_days)), []
    if start > as_of:
        reasons.append(
            f"held until {_said(start)} by the cooldown of {rules.cooldown_days:g} days after {last_id}, which began "
            f"at {_said(last)}"
        )

    earlier = start
    start = _within_a_week(start, [(began, 1) for began, _, _ in runs], rules.weekly_runs, 1)
    if start > earlier:
        reasons.append(f"held until {_said(start)} by the budget of {rules.weekly_runs} runs in 7 days")
    if rules.weekly_gpu_hours is not None:
        earlier = start
        start = _within_a_week(start, [(began, hours) for began, hours, _ in runs], rules.weekly_gpu_hours, gpu_hours)
        if start > earlier:
            reasons.append(
                f"held until {_said(start)} by the budget of {rules.weekly_gpu_hours:g} GPU hours in 7 days; the "
                f"next run is forecast to take {gpu_hours:.2f}"
            )
    return start, tuple(reasons)


def _within_a_week(start: datetime, spent: Sequence[tuple[datetime, float]], most: float, more: float) -> datetime:
    """Return the first moment from `start` on at which a week's spending leaves room for `more`, or is nothing."""
    for moment in [start, *(began + WEEK for began, _ in spent if began + WEEK > start)]:
        taken = [cost for began, cost in spent if began > moment - WEEK]
        if not taken or sum(taken) + more <= most:
            return moment
    raise AssertionError("a week after the last of them nothing is spent")


def begin_run(state: DecisionState, run_id: str, as_of: datetime, gpu_hours: float) -> DecisionState:
    """Return the state after a run began; the pending run is pending no more where it is this one."""
    runs = [*state.begun, BegunRun(run_id=run_id, as_of=text_of(as_of), gpu_hours=gpu_hours)]
    runs.sort(key=lambda run: datetime.fromisoformat(run.as_of))
    oldest = datetime.fromisoformat(runs[-1].as_of) - WEEK
    return state.model_copy(
        update={
            "as_of": text_of(_latest(state, as_of)),
            "pending": None if state.pending and state.pending.run_id == run_id else state.pending,
            "begun": tuple(run for run in runs if datetime.fromisoformat(run.as_of) > oldest),
        }
    )


def look(state: DecisionState, as_of: datetime) -> DecisionState:
    """Return the state after monitoring looked and asks for nothing."""
    return state.model_copy(update={"as_of": text_of(_latest(state, as_of))})


def retraining_of(spec: ModelSpec, pending: PendingRun) -> RunRequest:
    """Return what the pending run is to do: its data reach up to the newest moment of its requests, or to its start."""
    end = max(datetime.fromisoformat(pending.as_of), datetime.fromisoformat(pending.run_after))
    days, budget = spec.retraining.window_days, spec.retraining.budget
    start = spec.schedule.data_start if days is None else text_of(end - timedelta(days=days))
    more = pending.num_requests > len(pending.why)
    return RunRequest(
        window=Window(start=start, end=text_of(end)) if spec.source.time_column else Window(),
        budget_seconds=budget.seconds if budget and spec.kind == "classic" else None,
        budget_trials=budget.trials if budget and spec.kind == "classic" else None,
        note="; ".join([*pending.why, *([f"{pending.num_requests} requests in all"] if more else [])]),
        by=pending.by,
        run_id=pending.run_id,
    )


def _said(moment: datetime | str) -> str:
    """Return a moment for people, to the minute."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _latest(state: DecisionState, as_of: datetime) -> datetime:
    return as_of if state.as_of is None else max(as_of, datetime.fromisoformat(state.as_of))


def _why(request: RetrainingRequest) -> str:
    note = " ".join(request.note.split())
    shown = note if len(note) <= LONGEST_WHY else f"{note[:LONGEST_WHY]} ..."
    return f"{request.reason}: {shown}" if note else f"{request.reason}, asked by {request.by}"
