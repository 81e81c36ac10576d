"""New rows are announced, answered and watched in a real Airflow; what is found asks for one training, once."""

from __future__ import annotations

import httpx
import pytest

from tests.end_to_end.conftest import Workplace
from tests.end_to_end.waiting import awake, begun, ended, runs, until

pytestmark = pytest.mark.timeout(600)
MODEL = "watched"
SCORE, MONITOR, TRAIN = (f"{kind}__{MODEL}" for kind in ("score", "monitor", "train"))
WINDOW = {"start": "2013-01-10", "end": "2013-01-11"}


@pytest.fixture(scope="module")
def place(workplace: Workplace) -> Workplace:
    """The services, with a champion of the model, and its DAGs awake."""
    assert workplace.answer("run", MODEL)["verdict"]["outcome"] == "promote"
    awake(workplace, SCORE, MONITOR, TRAIN)
    return workplace


def announce(place: Workplace) -> None:
    """Say that there are new rows, as whoever brings them would."""
    found = place.send("GET", f"/assets?uri_pattern=tandem://{MODEL}/partitions", {}).json()
    (asset,) = found["assets"]
    answer = place.send("POST", "/assets/events", {"asset_id": asset["id"], "extra": {"window": WINDOW}})
    assert answer.status_code == httpx.codes.OK, answer.text


def test_an_announcement_leads_to_answers_a_report_and_one_training(place: Workplace) -> None:
    announce(place)
    (scoring,) = until(lambda: runs(place, SCORE), "a run that scores")
    (watching,) = until(lambda: runs(place, MONITOR), "a run that watches what was scored")
    tasks = ended(place, MONITOR, watching)
    assert tasks == dict.fromkeys(("monitor", "decide", "retrain"), ("success", 1))
    collected = place.api.returned(SCORE, scoring, "collect")
    monitored = place.api.returned(MONITOR, watching, "monitor")
    assert collected["new"] == [WINDOW["start"]]
    assert [key.split("/")[3] for key in monitored["report_keys"]] == [WINDOW["start"]]

    decided = place.api.returned(MONITOR, watching, "decide")
    assert decided["outcome"] == "start"
    assert "drifted in 1 of 1 windows" in decided["reasons"][0]
    (training,) = runs(place, TRAIN)
    assert training == decided["run_id"]
    assert "drifted in 1 of 1 windows" in runs(place, TRAIN)[training]["note"]

    begun(place, TRAIN, training)
    began = place.api.returned(TRAIN, training, "begin")
    assert began["run_id"] == training
    assert began["window"]["start"] == "2013-01-01"


def test_the_report_is_behind_the_button_of_each_task(place: Workplace) -> None:
    (watching,) = runs(place, MONITOR)
    for task in ("monitor", "decide"):
        url = place.api.buttons(MONITOR, watching, task)["Monitoring report"]
        page = httpx.get(url, headers=place.bearer("victor"))
        assert page.status_code == httpx.codes.OK, url
        assert WINDOW["start"] in page.text


def test_a_second_look_at_the_same_starts_no_second_training(place: Workplace) -> None:
    (training,) = runs(place, TRAIN)
    assert place.api.trigger(MONITOR, "again", {})
    tasks = ended(place, MONITOR, "again")
    assert [tasks[task][0] for task in ("monitor", "decide", "retrain")] == ["success", "success", "skipped"]
    assert list(runs(place, TRAIN)) == [training]
    entries = place.answer("decisions", MODEL)["decisions"]
    of_monitoring = [entry["action"] for entry in entries if entry["run_id"] == training]
    assert of_monitoring == ["requested", "begun"]
