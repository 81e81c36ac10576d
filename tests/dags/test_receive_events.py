from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException
from redis import Redis

from pipelines.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "redis://:secret@127.0.0.1:6379/events"


def parsed() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "dags" / "receive_events.py"))


def called(task_id: str, *arguments: Any) -> Any:
    return parsed()["receive_events"].get_task(task_id).python_callable(*arguments)


@pytest.fixture
def queue(redis_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A server with an empty list `received`, that the tasks take from."""
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis://127.0.0.1:{redis_port}/received")
    with Redis(port=redis_port) as client:
        client.delete("received", "received:taken", "received:refused")
        yield client


def lengths(queue: Redis) -> tuple[int, ...]:
    return tuple(queue.llen(name) for name in ("received", "received:taken", "received:refused"))


def event(number: int, model: str = "flight_delay") -> str:
    return json.dumps({"model": model, "evidence": {"number": number}})


def test_without_a_queue_there_is_no_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_EVENTS_QUEUE", raising=False)
    assert [value for value in parsed().values() if isinstance(value, DAG)] == []


def test_messages_leave_the_queue_only_after_their_trainings_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    dag = parsed()["receive_events"]
    assert dag.get_task("receive").downstream_task_ids == {"runs", "acknowledge", "complain"}
    assert dag.get_task("runs").downstream_task_ids == {"retrain"}
    assert dag.get_task("retrain").downstream_task_ids == {"acknowledge"}
    assert dag.get_task("acknowledge").trigger_rule == "none_failed_min_one_success"
    assert dag.get_task("complain").retries == 0


def test_one_takes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    assert parsed()["receive_events"].max_active_runs == 1


def test_what_airflow_stores_of_the_dag_holds_no_password_and_is_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    first, second = (DagSerialization.to_dict(parsed()["receive_events"]) for _ in range(2))
    assert first == second
    assert "secret" not in str(first)
    assert "tandem_bell.QueueBell" in str(first)


def test_an_empty_queue_is_no_work(queue: Redis) -> None:
    with pytest.raises(AirflowSkipException):
        called("receive")


def test_what_was_decided_and_not_acknowledged_is_decided_again_as_the_same(queue: Redis) -> None:
    queue.rpush("received", event(1), event(2), b"\xff")
    first, again = called("receive"), called("receive")
    assert lengths(queue) == (0, 3, 0)
    assert first == again
    called("acknowledge", again)
    assert lengths(queue) == (0, 0, 1)
    assert queue.lrange("received:refused", 0, -1) == [b"\xff"]


def test_a_run_is_started_with_what_was_decided(queue: Redis) -> None:
    from tandem_monitoring import RetrainOperator

    queue.rpush("received", event(1), event(2))
    (given,) = called("runs", called("receive"))
    operator = RetrainOperator(task_id="retrain", **given)
    assert operator.trigger_dag_id == "train__flight_delay"
    assert operator.decided["run_id"] == given["decided"]["run_id"]
    assert given["decided"]["reasons"] == ["event, asked by the queue"]


def test_a_thousand_messages_are_one_run(queue: Redis) -> None:
    queue.rpush("received", *(event(number) for number in range(1000)))
    received = called("receive")
    assert (len(received["marks"]), len(received["runs"]), received["refused"]) == (1000, 1, [])
    called("acknowledge", received)
    assert lengths(queue) == (0, 0, 0)


def test_a_message_that_could_not_be_used_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    called("complain", {"refused": []})
    with pytest.raises(UsageError, match="Message 1"):
        called("complain", {"refused": ["Message 1 ('x'): no."]})
