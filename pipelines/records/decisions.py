"""What is decided about retraining: the entries of a model's chain of decisions, and what the next decision needs."""

from __future__ import annotations

from typing import Literal

from pipelines.records.base import Record, Sealed
from pipelines.records.training import RunRequest


class PendingRun(Record):
    """The one retraining run of a model that was made and has not begun; Airflow holds it until `run_after`.

    `as_of` is the newest moment that its requests are about. `why` is what the first of them say, `num_requests` how
    many they are in all, `by` who asked first. All times are UTC, ISO 8601.
    """

    run_id: str
    run_after: str
    as_of: str
    num_requests: int
    why: tuple[str, ...]
    by: str


class BegunRun(Record):
    """A training run that began at `as_of`, and the GPU hours forecast for it then; 0 where the spec bounds none."""

    run_id: str
    as_of: str
    gpu_hours: float


class DecisionState(Record):
    """All that the next decision needs, so that nothing but the last entry of the chain is read for it.

    `as_of` is the newest moment that any decision was about. `begun` are the runs that began within 7 days before the
    last one of them, oldest first. `num_requests` counts the requests that were decided since the chain began: where as
    many are stored, none was forgotten.
    """

    as_of: str | None = None
    pending: PendingRun | None = None
    begun: tuple[BegunRun, ...] = ()
    num_requests: int = 0


class DecisionEntry(Sealed):
    """One decision: who decided what, when, about which moment, for which reasons.

    `observed`: monitoring looked, and asks for nothing. `refused`: there was reason, and a rule forbids it.
    `requested`: `requests` were taken into `run_id`. `begun`: the run began, and `asked` is what it was told to do.
    `evidence` are hashes of what it rests on, such as monitoring reports. `at` is the clock, `as_of` the moment that
    the decision is about; both are UTC, ISO 8601.
    """

    action: Literal["observed", "requested", "refused", "begun"]
    requests: tuple[str, ...] = ()
    run_id: str | None = None
    run_after: str | None = None
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    asked: RunRequest | None = None
    by: str
    at: str
    as_of: str
    state: DecisionState
