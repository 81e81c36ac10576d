"""Where the spec says `approval: human`, a person in Airflow decides, and nobody else."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.timeout(900)
WAIT_SECONDS = 400


def ask(workplace: Any, run_id: str, trials: int) -> dict[str, Any]:
    """Trigger a run, and return what there is when it waits for its person."""
    workplace.trigger("asked", run_id, {"budget_trials": trials})
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        tasks = {task["task_id"]: task for task in workplace.api.tasks("train__asked", run_id)}
        if tasks.get("approve", {}).get("state") == "awaiting_input":
            break
        assert time.monotonic() < deadline, {name: task["state"] for name, task in tasks.items()}
        time.sleep(0.5)
    return {"run_id": run_id, "promote": tasks["promote"]["state"], "status": workplace.answer("status", "asked")[0]}


def decide(workplace: Any, run_id: str, option: str, user: str | None) -> httpx.Response:
    """Send what a click on the task's page in the web UI sends."""
    path = f"/dags/train__asked/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    return workplace.send("PATCH", path, {"chosen_options": [option], "params_input": {}}, user)


@pytest.fixture(scope="module")
def asked(workplace: Any) -> dict[str, Any]:
    return ask(workplace, "first", trials=1)


@pytest.fixture(scope="module")
def approved(workplace: Any, asked: dict[str, Any]) -> dict[str, Any]:
    answer = decide(workplace, asked["run_id"], "Approve", "maria")
    assert answer.status_code == httpx.codes.OK, answer.text
    state = workplace.follow("asked", asked["run_id"])
    return {**asked, "state": state, "entries": workplace.answer("ledger", "asked")["entries"]}


@pytest.fixture(scope="module")
def rejected(workplace: Any, approved: dict[str, Any]) -> dict[str, Any]:
    second = ask(workplace, "second", trials=2)
    answer = decide(workplace, second["run_id"], "Reject", "maria")
    assert answer.status_code == httpx.codes.OK, answer.text
    return {**second, "state": workplace.follow("asked", second["run_id"])}


def test_nothing_is_promoted_while_nobody_has_answered(asked: dict[str, Any]) -> None:
    assert asked["promote"] is None
    assert asked["status"]["champion"] is None
    assert asked["status"]["num_entries"] == 0


@pytest.mark.parametrize(
    ("user", "code"), [(None, httpx.codes.UNAUTHORIZED), ("victor", httpx.codes.FORBIDDEN)], ids=["nobody", "viewer"]
)
def test_who_has_not_signed_in_or_may_only_look_cannot_answer(
    workplace: Any, asked: dict[str, Any], user: str | None, code: int
) -> None:
    if workplace.task("asked", asked["run_id"], "approve")["state"] == "awaiting_input":
        assert decide(workplace, asked["run_id"], "Approve", user).status_code == code
    assert workplace.task("asked", asked["run_id"], "approve")["state"] == "awaiting_input"


def test_a_yes_promotes_in_the_name_of_who_said_it(workplace: Any, approved: dict[str, Any]) -> None:
    assert approved["state"] == "success"
    assert workplace.api.run("train__asked", approved["run_id"])["triggering_user_name"] == "admin"
    (entry,) = approved["entries"]
    assert entry["by"] == "maria"
    assert entry["version"] == workplace.api.returned("train__asked", approved["run_id"], "register")["version"]


def test_a_no_ends_red_and_leaves_champion_and_ledger_as_they_were(
    workplace: Any, approved: dict[str, Any], rejected: dict[str, Any]
) -> None:
    assert rejected["state"] == "failed"
    approve = workplace.task("asked", rejected["run_id"], "approve")
    assert (approve["state"], approve["try_number"]) == ("failed", 1)
    assert workplace.task("asked", rejected["run_id"], "promote")["state"] == "upstream_failed"
    challenger = workplace.api.returned("train__asked", rejected["run_id"], "register")["version"]
    (status,) = workplace.answer("status", "asked")
    champion = approved["entries"][0]["version"]
    assert status["champion"]["version"] == status["alias_version"] == champion != challenger
    assert status["problems"] == []
    entries = workplace.answer("ledger", "asked", "--verify")["entries"]
    assert [entry["sha256"] for entry in entries] == [entry["sha256"] for entry in approved["entries"]]
    versions = MlflowClient(workplace.links["mlflow_url"]).search_model_versions("name = 'asked'")
    assert {int(version.version) for version in versions} == {champion, challenger}
