from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of specs with a copy of the flights' one in it."""
    folder = tmp_path / "config" / "models"
    folder.mkdir(parents=True)
    (folder / "flight_delay.yaml").write_text((ROOT / "config" / "models" / "flight_delay.yaml").read_text())
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    return folder


def _dag(name: str = "monitor") -> Any:
    found = runpy.run_path(str(ROOT / "dags" / f"{name}_models.py"))
    dag = found[f"{name}__flight_delay"]
    assert isinstance(dag, DAG)
    assert "broken spec" not in dag.tags, dag.doc_md
    return dag


def test_who_watches_comes_before_who_decides_and_who_decides_before_who_trains(models: Path) -> None:
    dag = _dag()
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "monitor": set(),
        "decide": {"monitor"},
        "retrain": {"decide"},
    }
    assert dag.get_task("retrain").trigger_dag_id == _dag("train").dag_id


def test_without_a_cron_the_scores_that_a_scoring_announces_start_it(models: Path) -> None:
    (asset,) = _dag().timetable.asset_condition.objects
    (alias,) = _dag("score").get_task("collect").outlets
    assert (asset.uri, alias.name) == ("tandem://flight_delay/scores", "flight_delay_scored")


def test_a_cron_of_the_spec_starts_it(models: Path) -> None:
    path = models / "flight_delay.yaml"
    path.write_text(path.read_text().replace("monitoring:\n", "monitoring:\n  cron: '45 6 * * *'\n"))
    dag = _dag()
    assert dag.timetable.expression == "45 6 * * *"
    assert not dag.catchup


def test_one_looks_at_a_time(models: Path) -> None:
    assert _dag().max_active_runs == 1


def test_the_form_needs_nothing_filled_in(models: Path) -> None:
    params = _dag().params
    assert dict(params) == dict.fromkeys(("data_start", "data_end", "as_of", "note"))
    assert [name for name in params if "null" not in params.get_param(name).schema["type"]] == []


def test_a_refusal_is_never_retried_and_a_fault_is(models: Path) -> None:
    from pipelines.errors import MonitoringRefused, StoreError

    task = _dag().get_task("monitor")
    assert task.retries == 2
    assert task.retry_policy.evaluate(MonitoringRefused("nobody"), 1, 2).action.value == "fail"
    assert task.retry_policy.evaluate(StoreError("gone"), 1, 2).action.value != "fail"
