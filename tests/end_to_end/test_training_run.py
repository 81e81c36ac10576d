"""The main job: from raw flights to a champion, in Airflow and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.errors import Refused
from pipelines.local.demo import run_dag

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def in_airflow(workplace: Any) -> dict[str, Any]:
    return run_dag("flights", workplace.links)


@pytest.fixture(scope="module")
def without_airflow(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home: Path = tmp_path_factory.mktemp("second_home")
    return {**workplace.answer("run", "flights", home=home), "home": home}


def test_the_dag_ends_with_a_champion_that_the_ledger_explains(workplace: Any, in_airflow: dict[str, Any]) -> None:
    assert in_airflow["verdict"]["outcome"] == "promote"
    (status,) = workplace.answer("status", "flights")
    assert status["champion"]["version"] == in_airflow["promote"]["version"] == status["alias_version"]
    assert status["problems"] == []
    assert workplace.answer("ledger", "flights", "--verify")["verified"]
    explained = workplace.answer("explain", "flights")
    assert explained["verified"], explained["problems"]
    assert {link["link"] for link in explained["links"]} >= {"verdict", "evaluation", "candidate", "snapshot"}


def test_airflow_and_the_command_line_give_the_same_snapshot_predictions_and_verdict(
    in_airflow: dict[str, Any], without_airflow: dict[str, Any]
) -> None:
    for step, key in [
        ("snapshot", "snapshot_id"),
        ("train", "model_sha256"),
        ("evaluate", "predictions_sha256"),
        ("evaluate", "metrics"),
        ("verdict", "outcome"),
        ("verdict", "results"),
    ]:
        assert in_airflow[step][key] == without_airflow[step][key], (step, key)


def test_a_repeated_request_is_the_same_run_and_trains_nothing(workplace: Any, in_airflow: dict[str, Any]) -> None:
    again = run_dag("flights", workplace.links)
    assert again["dag_run_url"] == in_airflow["dag_run_url"]
    assert len(workplace.answer("ledger", "flights")["entries"]) == 1


def test_the_quality_report_is_shown_to_who_may_read_the_dag_and_to_nobody_else(
    workplace: Any, in_airflow: dict[str, Any]
) -> None:
    _, _, kind, name = in_airflow["validate"]["report_key"].split("/")
    url = f"{workplace.links['airflow_url']}/tandem/reports/train__flights/{kind}/{name}"
    assert httpx.get(url).status_code == httpx.codes.UNAUTHORIZED
    login = {"username": workplace.links["user"], "password": workplace.links["password"]}
    token = httpx.post(f"{workplace.links['airflow_url']}/auth/token", json=login).json()["access_token"]
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == httpx.codes.OK
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "flights" in answer.text
    missing = httpx.get(url.replace(name, f"{'0' * 64}.html"), headers={"Authorization": f"Bearer {token}"})
    assert missing.status_code == httpx.codes.NOT_FOUND


def test_buttons_lead_from_tasks_to_the_report_and_the_mlflow_run(workplace: Any, in_airflow: dict[str, Any]) -> None:
    run_id = in_airflow["dag_run_url"].rsplit("/", 1)[1]
    buttons = workplace.api.buttons("train__flights", run_id, "evaluate")
    assert in_airflow["plan"]["mlflow_run_id"] in buttons["MLflow run"]
    buttons = workplace.api.buttons("train__flights", run_id, "validate")
    assert "/tandem/reports/train__flights/quality/" in buttons["Quality report"]


def test_a_failed_gate_makes_the_run_red_is_not_retried_and_promotes_nothing(workplace: Any) -> None:
    with pytest.raises(Refused):
        run_dag("strict", workplace.links)
    api = workplace.api
    (run_id,) = api.run_ids("train__strict")
    tasks = {task["task_id"]: task for task in api.tasks("train__strict", run_id)}
    assert tasks["gate"]["state"] == "failed"
    assert tasks["gate"]["try_number"] == 1
    assert tasks["promote"]["state"] == "upstream_failed"
    assert workplace.answer("ledger", "strict")["entries"] == []
    lines = "\n".join(line.text for line in api.log_lines("train__strict", run_id, tasks["gate"]) if line.is_error)
    assert "champion" in lines
    assert "0.99" in lines
