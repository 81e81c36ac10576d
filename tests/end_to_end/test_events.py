"""Events from real clients start one training run a reason: a user's token, a signature, the shell, a queue."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from redis import Redis

from pipelines.local.demo import wait_for_dag
from tests.end_to_end.conftest import EVENTS_QUEUE, EVENTS_SECRET, WAYS_IN, Workplace

pytestmark = pytest.mark.timeout(600)
WAIT_SECONDS = 200


def until(happens: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := happens()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS} s"
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def place(workplace: Workplace) -> Workplace:
    """The services, with the models of this file awake."""
    for name in WAYS_IN:
        wait_for_dag(workplace.api, f"train__{name}")
        workplace.api.unpause(f"train__{name}")
    return workplace


def post(place: Workplace, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{place.links['airflow_url']}/tandem/events", content=body, headers=headers, timeout=30)


def runs(place: Workplace, model: str) -> dict[str, Any]:
    answer = place.send("GET", f"/dags/train__{model}/dagRuns", {}).json()
    return {run["dag_run_id"]: run for run in answer["dag_runs"]}


def begun(place: Workplace, model: str) -> dict[str, Any]:
    """Wait until the only run of a model has begun, then stop it: what it would learn is not asked here."""
    (run_id,) = until(lambda: runs(place, model), f"a run of {model}")

    def begins() -> bool:
        states = {task["task_id"]: task["state"] for task in place.api.tasks(f"train__{model}", run_id)}
        return states.get("begin") == "success"

    until(begins, f"{run_id} of {model} to begin")
    stopped = place.send("PATCH", f"/dags/train__{model}/dagRuns/{run_id}", {"state": "failed"})
    assert stopped.status_code == httpx.codes.OK, stopped.text
    return runs(place, model)[run_id]


def test_who_has_a_token_starts_one_run_by_equal_events(place: Workplace) -> None:
    body = json.dumps({"model": "by_bearer", "evidence": {"month": "2013-02"}}).encode()
    answers = [post(place, body, place.bearer("maria")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 200, 200], answers[0].text
    run = begun(place, "by_bearer")
    assert {answer.json()["requests"][0]["run_id"] for answer in answers} == {run["dag_run_id"]}


def test_other_events_within_the_cooldown_make_one_follow_up_that_is_held(place: Workplace) -> None:
    (first,) = runs(place, "by_bearer")
    events = [{"model": "by_bearer", "evidence": {"month": f"2013-{month:02}"}} for month in range(3, 8)]
    answers = [post(place, json.dumps(event).encode(), place.bearer()).json()["requests"][0] for event in events]
    assert [answer["outcome"] for answer in answers] == ["start", "fold", "fold", "fold", "fold"]
    found = runs(place, "by_bearer")
    (follow_up,) = set(found) - {first}
    assert {answer["run_id"] for answer in answers} == {follow_up}
    assert found[follow_up]["state"] == "queued"
    days = (datetime.fromisoformat(found[follow_up]["run_after"]) - datetime.now(UTC)).total_seconds() / 86_400
    assert 6.9 < days < 7


def test_who_may_only_look_starts_nothing(place: Workplace) -> None:
    before = set(runs(place, "by_bearer"))
    answer = post(place, b'{"model": "by_bearer", "note": "look"}', place.bearer("victor"))
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert set(runs(place, "by_bearer")) == before


def test_who_has_the_secret_starts_a_run(place: Workplace) -> None:
    body, now = b'{"model": "by_signature", "note": "signed"}', str(int(time.time()))
    code = hmac.new(EVENTS_SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    answer = post(place, body, {"X-Tandem-Timestamp": now, "X-Tandem-Signature": f"sha256={code}"})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    run = begun(place, "by_signature")
    assert run["note"] == "event: signed"


def test_the_shell_starts_a_run(place: Workplace) -> None:
    answer = place.answer("request", "by_command", "--reason", "the storms are in")
    assert answer["outcome"] == "start"
    assert begun(place, "by_command")["dag_run_id"] == answer["run_id"]
    assert place.answer("request", "by_command", "--reason", "the storms are in")["outcome"] == "known"


def test_a_queue_starts_a_run_and_says_what_it_could_not_use(place: Workplace, redis_port: int) -> None:
    wait_for_dag(place.api, "receive_events")
    with Redis(port=redis_port) as queue:  # one message is in it since before Airflow was started
        messages = [json.dumps({"model": "by_queue", "evidence": {"number": number}}) for number in range(12)]
        queue.rpush(EVENTS_QUEUE, *messages, b"\xff not json")
        run = begun(place, "by_queue")
        until(lambda: not waiting(queue), "all messages to be acknowledged")
        assert queue.lrange(f"{EVENTS_QUEUE}:refused", 0, -1) == [b"\xff not json"]
    assert asked(place) == 13
    decisions = place.answer("decisions", "by_queue")["decisions"]
    assert {entry["run_id"] for entry in decisions if entry["action"] == "begun"} == {run["dag_run_id"]}

    def complaint() -> list[str]:
        found = place.send("GET", "/dags/receive_events/dagRuns", {}).json()["dag_runs"]
        return [run["dag_run_id"] for run in found if run["state"] == "failed"]

    (failed, *_) = until(complaint, "a complaint about the message that is no event")
    states = {task["task_id"]: task["state"] for task in place.api.tasks("receive_events", failed)}
    assert (states["receive"], states["acknowledge"], states["complain"]) == ("success", "success", "failed")


def test_what_comes_while_nobody_takes_is_taken_later(place: Workplace, redis_port: int) -> None:
    before = asked(place)
    paused = place.send("PATCH", "/dags/receive_events", {"is_paused": True})
    assert paused.status_code == httpx.codes.OK, paused.text
    with Redis(port=redis_port) as queue:
        queue.rpush(f"{EVENTS_QUEUE}:taken", json.dumps({"model": "by_queue", "evidence": {"number": "killed"}}))
        queue.rpush(EVENTS_QUEUE, json.dumps({"model": "by_queue", "evidence": {"number": "paused"}}))
        time.sleep(5)
        assert waiting(queue) == 2
        place.api.unpause("receive_events")
        until(lambda: not waiting(queue), "what waited to be taken")
    assert asked(place) == before + 2


def waiting(queue: Redis) -> int:
    return sum(int(queue.llen(name)) for name in (EVENTS_QUEUE, f"{EVENTS_QUEUE}:taken"))


def asked(place: Workplace) -> int:
    decisions = place.answer("decisions", "by_queue")["decisions"]
    return len({request for entry in decisions if entry["action"] == "requested" for request in entry["requests"]})
