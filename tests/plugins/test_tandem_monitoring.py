"""What the task that starts a training asks of Airflow, for each thing that may have been decided."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException
from tandem_monitoring import RetrainOperator

from pipelines.records import Decided
from pipelines.spec import load_environment, load_model
from pipelines.steps.context import Context
from pipelines.steps.request import request
from pipelines.store import open_store
from tests.steps.deciding import MODEL, begun, wish

RUN_ID, AFTER = "retrain__0123456789abcdef", "2013-05-08T00:00:00+00:00"


class TaskInstance:
    """Answers what Airflow would of the runs that have failed, and takes what a task leaves."""

    def __init__(self, *failed: str) -> None:
        self.failed = failed
        self.left: dict[str, Any] = {}

    def get_dr_count(self, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert (dag_id, states) == (f"train__{MODEL}", ["failed"])
        return sum(run_id in self.failed for run_id in run_ids)

    def xcom_push(self, key: str, value: Any) -> None:
        self.left[key] = value


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Surroundings in which nothing was decided."""
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    environment = load_environment()
    return Context(load_model(MODEL), environment, open_store(environment.store))


def decided(**changes: Any) -> Decided:
    fields = {
        "model": MODEL, "outcome": "start", "request_id": "a" * 64, "run_id": RUN_ID, "run_after": AFTER,
        "reasons": ("roc_auc dropped", "held until then"), "entry_seq": 3, "as_of": "2013-05-01T00:00:00+00:00",
    }  # fmt: skip
    return Decided.model_validate(fields | changes)


def asked(what: Decided, *failed: str) -> DagRunTriggerException:
    """Return what Airflow is asked for."""
    task = RetrainOperator(task_id="retrain", model=MODEL, decided=what.to_dict())
    with pytest.raises(DagRunTriggerException) as caught:
        task.execute({"ti": TaskInstance(*failed)})
    return caught.value


def test_the_decided_run_is_asked_for_at_its_time_with_its_reasons() -> None:
    found = asked(decided())
    assert (found.trigger_dag_id, found.dag_run_id) == (f"train__{MODEL}", RUN_ID)
    assert found.run_after == datetime(2013, 5, 8, tzinfo=UTC)
    assert found.note == "roc_auc dropped; held until then"
    assert (found.logical_date, found.conf or {}) == (None, {})


def test_a_run_that_airflow_holds_already_is_no_second_one_and_no_error() -> None:
    found = asked(decided())
    assert (found.skip_when_already_exists, found.reset_dag_run, found.wait_for_completion) == (True, False, False)


def test_a_run_of_a_replay_is_told_which_and_of_when() -> None:
    found = asked(decided(replay="r1"))
    assert found.conf["replay"] == "r1"
    assert found.conf["as_of"] == "2013-05-01T00:00:00+00:00"


def test_where_nothing_was_decided_the_task_is_skipped_and_says_why() -> None:
    nothing = decided(outcome="none", run_id=None, run_after=None, reasons=("roc_auc has not dropped",))
    task = RetrainOperator(task_id="retrain", model=MODEL, decided=nothing.to_dict())
    with pytest.raises(AirflowSkipException, match="No retraining: roc_auc has not dropped"):
        task.execute({"ti": TaskInstance()})


def test_a_run_that_failed_before_it_began_is_queued_again(context: Context) -> None:
    pending = request(context, wish())
    assert asked(pending, str(pending.run_id)).reset_dag_run
    assert not asked(pending).reset_dag_run


def test_a_run_that_failed_after_it_began_stays_as_it_is(context: Context) -> None:
    pending = request(context, wish())
    begun(context, pending)
    assert not asked(pending, str(pending.run_id)).reset_dag_run


def test_what_is_pending_for_real_is_not_pending_in_a_replay(context: Context) -> None:
    pending = request(context, wish())
    replayed = pending.model_copy(update={"replay": "r1"})
    assert not asked(replayed, str(pending.run_id)).reset_dag_run
