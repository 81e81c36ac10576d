"""New rows are announced, answered and watched in a real Airflow; what is found asks for one training, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pipelines.local.demo import wait_for_dag
from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.timeout(600)
WAIT_SECONDS = 240
MODEL = "watched"
WINDOW = {"start": "2013-01-10", "end": "2013-01-11"}


def until(happens: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := happens()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS} s"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def place(workplace: Workplace) -> Workplace:
    """The services, with a champion of the model, and its DAGs awake."""
    assert workplace.answer("run", MODEL)["verdict"]["outcome"] == "promote"
    for kind in ("score", "monitor", "train"):
        wait_for_dag(workplace.api, f"{kind}__{MODEL}")
        workplace.api.unpause(f"{kind}__{MODEL}")
    return workplace


def runs(place: Workplace, kind: str) -> dict[str, Any]:
    answer = place.send("GET", f"/dags/{kind}__{MODEL}/dagRuns", {}).json()
    return {run["dag_run_id"]: run for run in answer["dag_runs"]}


def ended(place: Workplace, kind: str, run_id: str) -> dict[str, str]:
    """Wait for the end of a run, and return the state of each task."""

    def over() -> bool:
        return runs(place, kind)[run_id]["state"] in {"success", "failed"}

    until(over, f"the end of {run_id} of {kind}__{MODEL}")
    return {task["task_id"]: task["state"] for task in place.api.tasks(f"{kind}__{MODEL}", run_id)}


def announce(place: Workplace) -> None:
    """Say that there are new rows, as whoever brings them would."""
    found = place.send("GET", f"/assets?uri_pattern=tandem://{MODEL}/partitions", {}).json()
    (asset,) = found["assets"]
    answer = place.send("POST", "/assets/events", {"asset_id": asset["id"], "extra": {"window": WINDOW}})
    assert answer.status_code == httpx.codes.OK, answer.text


def test_an_announcement_leads_to_answers_a_report_and_one_training(place: Workplace) -> None:
    announce(place)
    (scoring,) = until(lambda: runs(place, "score"), "a run that scores")
    (watching,) = until(lambda: runs(place, "monitor"), "a run that watches what was scored")
    states = ended(place, "monitor", watching)
    assert states == {"monitor": "success", "decide": "success", "retrain": "success"}
    collected = place.api.returned(f"score__{MODEL}", scoring, "collect")
    monitored = place.api.returned(f"monitor__{MODEL}", watching, "monitor")
    assert collected["new"] == [WINDOW["start"]]
    assert [key.split("/")[3] for key in monitored["report_keys"]] == [WINDOW["start"]]

    decided = place.api.returned(f"monitor__{MODEL}", watching, "decide")
    assert decided["outcome"] == "start"
    assert "drifted in 1 of 1 windows" in decided["reasons"][0]
    (training,) = runs(place, "train")
    assert training == decided["run_id"]
    assert "drifted in 1 of 1 windows" in runs(place, "train")[training]["note"]

    def begins() -> bool:
        tasks = {task["task_id"]: task["state"] for task in place.api.tasks(f"train__{MODEL}", training)}
        return tasks.get("begin") == "success"

    until(begins, f"{training} to begin")
    begun = place.api.returned(f"train__{MODEL}", training, "begin")
    assert begun["run_id"] == training
    assert begun["window"]["start"] == "2013-01-01"
    stopped = place.send("PATCH", f"/dags/train__{MODEL}/dagRuns/{training}", {"state": "failed"})
    assert stopped.status_code == httpx.codes.OK, stopped.text


def test_the_report_is_behind_the_button_of_each_task(place: Workplace) -> None:
    (watching,) = runs(place, "monitor")
    for task in ("monitor", "decide"):
        url = place.api.buttons(f"monitor__{MODEL}", watching, task)["Monitoring report"]
        page = httpx.get(url, headers=place.bearer("victor"))
        assert page.status_code == httpx.codes.OK, url
        assert WINDOW["start"] in page.text


def test_a_second_look_at_the_same_starts_no_second_training(place: Workplace) -> None:
    (training,) = runs(place, "train")
    assert place.api.trigger(f"monitor__{MODEL}", "again", {})
    states = ended(place, "monitor", "again")
    assert states == {"monitor": "success", "decide": "success", "retrain": "skipped"}
    assert list(runs(place, "train")) == [training]
    entries = place.answer("decisions", MODEL)["decisions"]
    of_monitoring = [entry["action"] for entry in entries if entry["run_id"] == training]
    assert of_monitoring == ["requested", "begun"]
