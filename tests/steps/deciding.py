"""Surroundings and requests for tests of what is decided about retraining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.records import Decided, RetrainingRequest, RunRequest
from pipelines.spec import load_model
from pipelines.spec.watching import Retraining
from pipelines.steps.begin import begin
from pipelines.steps.context import Context
from pipelines.store import Store
from tests.conftest import environment_at

MODEL = "flight_delay"


def context_of(store: Store, **rules: Any) -> Context:
    """Return the surroundings of the flights' model in a store; no MLflow, no rows."""
    spec = load_model(MODEL).model_copy(update={"retraining": Retraining(**rules)})
    return Context(spec, environment_at(Path("/nowhere")), store)


def wish(number: int = 1, **changes: Any) -> RetrainingRequest:
    """Return a request, another for each number."""
    fields = {"model": MODEL, "reason": "event", "evidence": {"number": number}, "by": "ada"}
    return RetrainingRequest.model_validate({**fields, **changes})


def run_of(decided: Decided, **changes: Any) -> RunRequest:
    """Return what Airflow asks `begin` for, once it lets a decided run begin."""
    assert decided.run_id is not None
    return RunRequest(run_id=decided.run_id, by="airflow", **changes)


def begun(context: Context, decided: Decided, **changes: Any) -> RunRequest:
    """Let a decided run begin."""
    return begin(context, run_of(decided, **changes))
