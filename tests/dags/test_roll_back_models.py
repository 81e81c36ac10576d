from __future__ import annotations

import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import ParamValidationError

from pipelines.errors import RollbackRefused, StoreError
from pipelines.records import LedgerEntry
from pipelines.registry.alias import read_shadow
from pipelines.registry.ledger import read_ledger
from pipelines.steps.run import ROLLBACK_STEPS
from tests.steps.watching import MODEL, Place, copy_tiny, second_champion

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A store in which one version serves, and was never replaced."""
    return copy_tiny(trained_tiny, tmp_path, monkeypatch)


def _dag(model: str = MODEL) -> DAG:
    dag = runpy.run_path(str(ROOT / "dags" / "roll_back_models.py"))[f"roll_back__{model}"]
    assert isinstance(dag, DAG)
    assert "broken spec" not in dag.tags, dag.doc_md
    return dag


class Run:
    """A run as Airflow makes one of a filled-in form: each task can be tried as often as a test wants."""

    def __init__(self, form: dict[str, Any], user: str | None = "ada", asked_at: datetime | None = None) -> None:
        run_after = asked_at or datetime.now(UTC)
        self.dag, self.form = _dag(), form
        self.dag_run = SimpleNamespace(run_after=run_after, triggering_user_name=user, run_type="manual")

    def find_champion(self) -> dict[str, Any]:
        return self._execute("find_champion")

    def roll_back(self, found: dict[str, Any]) -> dict[str, Any]:
        self.dag.get_task("roll_back").records = [found]
        return self._execute("roll_back")

    def all_tasks(self) -> dict[str, Any]:
        return self.roll_back(self.find_champion())

    def _execute(self, task_id: str) -> dict[str, Any]:
        task = self.dag.get_task(task_id)
        params = process_params(self.dag, task, self.form, suppress_exception=False)
        left: dict[str, Any] = task.execute({"params": params, "dag_run": self.dag_run})
        return left


def _ledger(place: Place) -> list[LedgerEntry]:
    return read_ledger(place.context.store, MODEL)


def test_the_version_before_serves_again_and_the_ledger_says_why_and_by_whom(place: Place) -> None:
    second_champion(place)
    left = Run({"reason": "it answers slowly"}).all_tasks()
    assert (left["version"], left["previous_version"]) == (1, 2)
    entry = _ledger(place)[-1]
    assert (entry.action, entry.version, entry.reason, entry.by) == ("roll_back", 1, "it answers slowly", "ada")
    assert read_shadow(place.context.environment, MODEL).version == 1


def test_the_version_that_the_form_names_serves_again(place: Place) -> None:
    second_champion(place)
    assert Run({"to": 1, "reason": "slow"}).all_tasks()["version"] == 1
    with pytest.raises(RollbackRefused, match=r"Version 7 of tiny never served; versions that did: 1, 2\."):
        Run({"to": 7, "reason": "slow"}).all_tasks()


def test_a_task_that_is_tried_again_when_all_was_done_does_not_go_back_twice(place: Place) -> None:
    second_champion(place)
    run = Run({"reason": "slow"})
    found = run.find_champion()
    assert run.roll_back(found) == run.roll_back(found)
    assert [entry.version for entry in _ledger(place)] == [1, 2, 1]


def test_a_run_that_is_cleared_when_all_was_done_does_not_go_back_twice(place: Place) -> None:
    second_champion(place)
    run = Run({"reason": "slow"})
    assert run.all_tasks() == run.all_tasks()
    assert [entry.version for entry in _ledger(place)] == [1, 2, 1]


def test_of_two_who_ask_at_the_same_time_one_goes_back_and_the_other_is_told(place: Place) -> None:
    second_champion(place)
    first, second = Run({"reason": "slow"}), Run({"reason": "wrong"}, user="eve")
    first.all_tasks()
    with pytest.raises(RollbackRefused, match=r"Version 2 of tiny does not serve: version 1 serves .* by ada\)"):
        second.all_tasks()
    assert len(_ledger(place)) == 3


def test_where_another_version_has_come_up_since_somebody_asked_nothing_is_changed(place: Place) -> None:
    run = Run({"to": 1, "reason": "slow"})
    second_champion(place)
    with pytest.raises(RollbackRefused, match=r"Version 1 of tiny does not serve: version 2 serves"):
        run.all_tasks()
    assert len(_ledger(place)) == 2


def test_where_no_version_served_before_it_is_refused_with_a_sentence(place: Place) -> None:
    with pytest.raises(RollbackRefused, match=r"No version of tiny served before version 1, which serves\. Nothing"):
        Run({"reason": "slow"}).all_tasks()
    assert len(_ledger(place)) == 1


def test_where_nobody_served_when_it_was_asked_it_is_refused_with_a_sentence(place: Place) -> None:
    with pytest.raises(RollbackRefused, match=r"tiny had no champion at .*: there is nothing to go back from"):
        Run({"reason": "slow"}, asked_at=datetime.now(UTC) - timedelta(days=999)).find_champion()


def test_where_no_user_is_known_the_ledger_says_how_the_run_came(place: Place) -> None:
    second_champion(place)
    Run({"reason": "slow"}, user=None).all_tasks()
    assert _ledger(place)[-1].by == "manual"


@pytest.mark.parametrize(
    "form",
    [{}, {"reason": None}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 501}],
    ids=["missing", "null", "empty", "blank", "too long"],
)
def test_neither_the_api_nor_a_task_takes_a_form_without_a_fitting_reason(place: Place, form: dict[str, Any]) -> None:
    from airflow.exceptions import ParamValidationError as RefusedByTheApi
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(_dag()))
    with pytest.raises(RefusedByTheApi, match="reason"):
        stored.params.deep_merge(form).validate()
    assert stored.params.deep_merge({"reason": "slow"}).validate() == {"to": None, "reason": "slow"}
    with pytest.raises(ParamValidationError, match="reason"):
        Run(form).find_champion()


@pytest.mark.parametrize("to", [0, -1, 1.5, "previous", ""])
def test_the_form_takes_no_version_that_is_none(place: Place, to: Any) -> None:
    with pytest.raises(ParamValidationError, match="to"):
        Run({"to": to, "reason": "slow"}).find_champion()


def test_what_serves_is_found_before_anything_goes_back() -> None:
    dag = _dag("flight_delay")
    assert set(dag.task_ids) == set(ROLLBACK_STEPS)
    assert dag.get_task("roll_back").upstream_task_ids == {"find_champion"}


def test_nothing_starts_it_but_who_asks_and_then_nothing_holds_it() -> None:
    dag = _dag("flight_delay")
    assert (dag.schedule, dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (None, False, 1, False)
    assert {"rollback", "classic"} <= set(dag.tags)


def test_a_refusal_is_never_retried_and_a_fault_is() -> None:
    for task in _dag("flight_delay").tasks:
        assert task.retries == 2
        assert task.retry_policy.evaluate(RollbackRefused("no"), 1, 2).action.value == "fail"
        assert task.retry_policy.evaluate(StoreError("gone"), 1, 2).action.value != "fail"
