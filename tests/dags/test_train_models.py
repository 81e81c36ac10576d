from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
STEPS = [
    "begin",
    "ingest",
    "validate",
    "snapshot",
    "plan",
    "search",
    "train",
    "evaluate",
    "gate",
    "register",
    "promote",
]


def _spec_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "config" / "models"
    folder.mkdir(parents=True)
    (folder / "flight_delay.yaml").write_text((ROOT / "config" / "models" / "flight_delay.yaml").read_text())
    return tmp_path


def _parse(root: Path) -> dict[str, DAG]:
    import runpy

    before = os.environ.get("TANDEM_ROOT")
    os.environ["TANDEM_ROOT"] = str(root)
    try:
        found = runpy.run_path(str(ROOT / "dags" / "train_models.py"))
    finally:
        os.environ.pop("TANDEM_ROOT")
        if before is not None:
            os.environ["TANDEM_ROOT"] = before
    return {name: value for name, value in found.items() if isinstance(value, DAG)}


def test_a_dag_is_named_after_each_spec_and_chains_the_steps() -> None:
    dags = _parse(ROOT)
    dag = dags["train__flight_delay"]
    for earlier, later in pairwise(STEPS):
        assert later in dag.get_task(earlier).downstream_task_ids, (earlier, later)


def test_reconcile_comes_before_the_champion_is_looked_up() -> None:
    assert _parse(ROOT)["train__flight_delay"].get_task("reconcile").downstream_task_ids == {"evaluate"}


def test_a_verdict_is_never_retried_and_a_fault_is() -> None:
    from pipelines.errors import GateFailed, QualityFailed, SpecError, StoreError

    dag = _parse(ROOT)["train__flight_delay"]
    assert dag.get_task("gate").retries == 0
    policy = dag.get_task("validate").retry_policy
    for verdict in (QualityFailed("no"), GateFailed("no"), SpecError([])):
        assert policy.evaluate(verdict, 1, 2).action.value == "fail", verdict
    assert policy.evaluate(StoreError("gone"), 1, 2).action.value != "fail"


def test_begin_outlasts_an_outage_of_hours_since_requests_wait_for_it() -> None:
    from pipelines.errors import IntegrityError, StoreError

    task = _parse(ROOT)["train__flight_delay"].get_task("begin")
    assert task.retries * task.retry_delay > timedelta(hours=3)
    assert task.retry_policy.evaluate(StoreError("down"), 1, 50).action.value != "fail"
    assert task.retry_policy.evaluate(IntegrityError("altered"), 1, 50).action.value == "fail"
    assert "plan" in task.downstream_task_ids


def test_the_form_is_filled_with_the_spec_and_refuses_what_is_no_date() -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = _parse(ROOT)["train__flight_delay"].params
    assert params["data_start"] == "2013-01-01"
    with pytest.raises(ParamValidationError):
        params["data_start"] = "yesterday"


def test_the_web_form_asks_for_nothing_that_must_be_filled_in() -> None:
    """Airflow's form takes an empty field for null, and a field that may not be null must be filled in."""
    params = _parse(ROOT)["train__flight_delay"].params
    required = [name for name in params if "null" not in params.get_param(name).schema["type"]]
    assert required == []


def test_a_spec_that_asks_for_a_person_waits_for_one_before_promoting(tmp_path: Path) -> None:
    root = _spec_folder(tmp_path)
    path = root / "config" / "models" / "flight_delay.yaml"
    path.write_text(path.read_text() + "\npromotion:\n  approval: human\n")
    dag = _parse(root)["train__flight_delay"]
    assert dag.get_task("approve").upstream_task_ids == {"register"}
    assert "approve" in dag.get_task("promote").upstream_task_ids


def test_more_workers_make_more_mapped_tasks(tmp_path: Path) -> None:
    root = _spec_folder(tmp_path)
    path = root / "config" / "models" / "flight_delay.yaml"
    path.write_text(path.read_text().replace("  calibrate: true", "  calibrate: true\n  workers: 3"))
    search = _parse(root)["train__flight_delay"].get_task("search")
    assert search.expand_input.value["worker"] == [0, 1, 2]
