"""Kill -9 API server, scheduler and tasks between decision and trigger, and take the store away: one run remains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from pipelines.local.services import up
from pipelines.spec import load_environment
from tests.end_to_end.conftest import Workplace
from tests.end_to_end.services import halt, kill, start, task_processes, writes_held
from tests.end_to_end.waiting import asleep, awake, begun, ended, post, runs, states, until
from tests.steps.watching import day, end_of, write_day

pytestmark = pytest.mark.timeout(600)
API_SERVER, SCHEDULER = "airflow-api-server", "airflow-scheduler"
DAYS = {"task": (13, 17), "scheduler": (18, 22), "api-server": (23, 27)}  # answered while that is killed
LAST = DAYS["task"][1]  # on this day all labels are reversed
IMPATIENT = {  # seconds until a scheduler that tells nothing counts as dead, and until its tasks are looked for
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",  # on a busy machine a loop may take half of it
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "2",
}
LOOK_SECONDS = 0.005
RECORDS, ANSWERS = "tiny/scores/*/*/*.json", "tiny/scores/*/*/*"
EVENT = json.dumps({"model": "by_key", "note": "storms"}).encode()


@pytest.fixture(scope="module")
def place(workplace: Workplace) -> Workplace:
    """The services, a champion that serves, and days of rows that it has not answered."""
    for number in range(DAYS["task"][0], DAYS["api-server"][1] + 1):
        write_day(workplace.root / "rows", number, is_reversed=number == LAST)
    awake(workplace, "train__by_key", "score__tiny", "train__tiny")
    return workplace


def conf(first: int, last: int) -> dict[str, str]:
    """Return what a run over these days is asked for, as of their end."""
    return {"data_start": day(first), "data_end": day(last + 1), "as_of": end_of(last)}


def process_of(place: Workplace, dag_id: str, run_id: str, task_id: str, attempt: int) -> psutil.Process:
    """Wait for the process of an attempt at a task."""

    def found() -> psutil.Process | None:
        ids = {
            task["id"]
            for task in place.api.tasks(dag_id, run_id)
            if (task["task_id"], task["try_number"]) == (task_id, attempt)
        }
        return next((process for ti_id, process in task_processes() if ti_id in ids), None)

    process: psutil.Process = until(found, f"attempt {attempt} at {task_id} of {run_id}", pause_seconds=0.05)
    return process


def files(place: Workplace, pattern: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted((place.home / "store").glob(pattern))}


def actions(place: Workplace, model: str) -> list[str]:
    return [entry["action"] for entry in place.answer("decisions", model)["decisions"]]


def halted_amid_answers(place: Workplace, run_id: str) -> tuple[psutil.Process, dict[Path, bytes]]:
    """Start a run that scores five days; halt its task after the first of them, and return what is stored then."""
    earlier = files(place, RECORDS).keys()
    assert place.api.trigger("score__tiny", run_id, conf(*DAYS[run_id]))
    scoring = process_of(place, "score__tiny", run_id, "score", 1)
    until(lambda: files(place, RECORDS).keys() - earlier, "a record of a day's answers", LOOK_SECONDS)
    scoring.suspend()
    return scoring, files(place, ANSWERS)


def check_each_day_is_answered_once(place: Workplace, run_id: str, before: dict[Path, bytes], attempts: int) -> None:
    """Wait for the end of a run that was disturbed; hold what it left against what was there `before`."""
    assert ended(place, "score__tiny", run_id)["score"] == ("success", attempts)
    first, last = DAYS[run_id]
    days = {day(number) for number in range(first, last + 1)}
    after = {path: data for path, data in files(place, ANSWERS).items() if path.parts[-3] in days}
    found = {path: data for path, data in before.items() if path in after}
    assert {path.suffix for path in found} == {".json", ".parquet"}
    assert len(found) < len(after) == 2 * len(days), "it was disturbed after its work was done"
    assert found.items() <= after.items()
    assert {path.parts[-3] for path in after if path.suffix == ".json"} == days
    assert set(place.api.returned("score__tiny", run_id, "collect")["new"]) == days


@pytest.fixture(scope="module")
def answered(place: Workplace) -> dict[Path, bytes]:
    """Five days that were answered by a task that was killed once; return what it had stored by then."""
    scoring, before = halted_amid_answers(place, "task")
    scoring.kill()
    ended(place, "score__tiny", "task")
    return before


def test_a_task_killed_amid_the_days_that_it_answers_is_tried_again_and_each_day_is_answered_once(
    place: Workplace, answered: dict[Path, bytes]
) -> None:
    check_each_day_is_answered_once(place, "task", answered, attempts=2)


def test_an_api_server_killed_between_the_decision_and_its_run_and_amid_answers_makes_one_run_when_it_is_asked_again(
    place: Workplace,
) -> None:
    headers = {"Idempotency-Key": "storms of the 9th", **place.bearer()}
    scoring, half = halted_amid_answers(place, "api-server")
    before = files(place, "by_key/decisions/*")
    with ThreadPoolExecutor(1) as pool, writes_held(place.home):
        sent = pool.submit(post, place, EVENT, headers)
        until(lambda: files(place, "by_key/decisions/*").keys() - before, "a decision", LOOK_SECONDS)
        kill(API_SERVER)
        assert isinstance(sent.exception(), httpx.TransportError)
    start(API_SERVER)
    up(load_environment())
    scoring.resume()
    assert runs(place, "train__by_key") == {}
    again = [post(place, EVENT, headers) for _ in range(2)]
    assert [answer.status_code for answer in again] == [200, 200], again[0].text
    assert [answer.json()["requests"][0]["outcome"] for answer in again] == ["known", "known"]
    (run_id,) = runs(place, "train__by_key")
    assert {answer.json()["requests"][0]["run_id"] for answer in again} == {run_id}
    begun(place, "train__by_key", run_id)
    assert actions(place, "by_key") == ["requested", "begun"]
    check_each_day_is_answered_once(place, "api-server", half, attempts=1)


@contextmanager
def store_away(place: Workplace) -> Iterator[None]:
    """Put a file where the store is, as when a volume is not mounted, and put the store back."""
    store, away = place.home / "store", place.home / "store.away"
    store.rename(away)
    store.write_text("no folder")
    try:
        yield
    finally:
        store.unlink()
        away.rename(store)


def test_while_the_store_is_away_an_event_is_sent_back_and_a_task_tried_again_and_nothing_is_lost(
    place: Workplace, answered: dict[Path, bytes]
) -> None:
    event, headers = json.dumps({"model": "by_key", "evidence": {"came": "while it was away"}}).encode(), place.bearer()
    before = actions(place, "by_key")
    with store_away(place):
        answer = post(place, event, headers)
        awake(place, "monitor__tiny")
        assert place.api.trigger("monitor__tiny", "dark", conf(LAST - 1, LAST - 1))
        until(lambda: states(place, "monitor__tiny", "dark")["monitor"][0] == "up_for_retry", "a failed attempt")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert str(place.home / "store") in answer.json()["detail"]
    assert answer.json()["detail"].endswith("Send it again in a while: it will not be done twice.")
    assert int(answer.headers["Retry-After"]) > 0
    assert [post(place, event, headers).status_code for _ in range(2)] == [202, 200]
    assert actions(place, "by_key") == [*before, "requested"]
    tasks = ended(place, "monitor__tiny", "dark")
    asleep(place, "monitor__tiny")  # what is scored would wake it
    assert (tasks["monitor"], tasks["retrain"][0]) == (("success", 2), "skipped")
    failed = {"task_id": "monitor", "try_number": 1, "map_index": -1}
    said = "\n".join(line.text for line in place.api.log_lines("monitor__tiny", "dark", failed) if line.is_error)
    assert f"{place.home}/store" in said
    assert "StoreError" in said


@contextmanager
def impatient_scheduler() -> Iterator[None]:
    """Start the scheduler that was killed, so that what the other left is found soon; then one as patient as it was."""
    start(SCHEDULER, **IMPATIENT)
    try:
        yield
    finally:
        kill(SCHEDULER)
        start(SCHEDULER)


def test_a_task_and_the_scheduler_killed_between_decision_and_trigger_and_amid_answers_change_nothing_in_the_end(
    place: Workplace, answered: dict[Path, bytes]
) -> None:
    dag_id, before = "monitor__tiny", files(place, "tiny/decisions/*")
    _, half = halted_amid_answers(place, "scheduler")
    awake(place, dag_id)
    assert place.api.trigger(dag_id, "killed", conf(LAST, LAST))
    decides = process_of(place, dag_id, "killed", "decide", 1)
    until(lambda: files(place, "tiny/decisions/*").keys() - before, "a decision", LOOK_SECONDS)
    decides.kill()
    process_of(place, dag_id, "killed", "decide", 2)
    halt(SCHEDULER, place.home)
    until(lambda: states(place, dag_id, "killed")["decide"] == ("success", 2), "the second attempt to decide")
    kill(SCHEDULER)
    assert states(place, dag_id, "killed")["retrain"][0] not in {"running", "success"}
    assert runs(place, "train__tiny") == {}
    with impatient_scheduler():
        assert ended(place, dag_id, "killed")["retrain"] == ("success", 1)
        asleep(place, dag_id)  # the days that are answered below would wake it
        decided = place.api.returned(dag_id, "killed", "decide")
        (run_id,) = runs(place, "train__tiny")
        assert run_id == decided["run_id"]
        begun(place, "train__tiny", run_id)
        assert actions(place, "tiny")[len(before) :] == ["requested", "begun"]
        check_each_day_is_answered_once(place, "scheduler", half, attempts=2)
