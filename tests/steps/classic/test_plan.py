from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import DataError, UsageError
from pipelines.records import RunRequest
from pipelines.registry.connection import connect
from pipelines.steps.classic.plan import plan
from pipelines.steps.context import Context


def test_the_same_question_is_planned_once(workshop: Any) -> None:
    first = plan(workshop.context, workshop.snapshot, RunRequest(by="ada"))
    assert first.budget_trials == 1  # the spec's own
    assert plan(workshop.context, workshop.snapshot, RunRequest(by="grace", note="again")) == first
    other = plan(workshop.context, workshop.snapshot, RunRequest(budget_seconds=5.0))
    assert other.search_key != first.search_key
    assert other.mlflow_run_id != first.mlflow_run_id
    assert (other.budget_seconds, other.budget_trials) == (5.0, None)


def test_the_run_in_mlflow_is_open_and_says_what_is_searched(workshop: Any) -> None:
    planned = plan(workshop.context, workshop.snapshot, RunRequest())
    run = connect(workshop.context.environment).get_run(planned.mlflow_run_id)
    assert run.info.status == "RUNNING"
    assert run.data.params["num_rows"] == str(workshop.snapshot.num_rows_train)
    assert run.data.tags["tandem.snapshot_id"] == workshop.snapshot.snapshot_id


def test_the_note_of_a_request_is_kept_with_the_run(workshop: Any) -> None:
    planned = plan(workshop.context, workshop.snapshot, RunRequest(note="after the new timetable"))
    run = connect(workshop.context.environment).get_run(planned.mlflow_run_id)
    assert run.data.tags["tandem.note"] == "after the new timetable"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (RunRequest(budget_seconds=5.0, budget_trials=5), "asks for 5 seconds and 5 trials; allowed: one of the two"),
        (RunRequest(budget_seconds=-1.0), "asks for a budget of -1"),
        (RunRequest(budget_trials=0), "asks for a budget of 0"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(workshop: Any, request_: RunRequest, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(workshop.context, workshop.snapshot, request_)


def test_a_feature_that_the_snapshot_has_not_is_named(workshop: Any) -> None:
    context = workshop.context
    training = context.spec.training.model_copy(update={"features": ("x", "no_such_column")})
    spec = context.spec.model_copy(update={"training": training})
    with pytest.raises(DataError, match="no_such_column"):
        plan(Context(spec, context.environment, context.store), workshop.snapshot, RunRequest())
