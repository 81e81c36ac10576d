from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "redis+pubsub://:secret@127.0.0.1:6379/events"


def parsed() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "dags" / "receive_events.py"))


def test_without_a_queue_there_is_no_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_EVENTS_QUEUE", raising=False)
    assert [value for value in parsed().values() if isinstance(value, DAG)] == []


def test_a_queue_makes_a_dag_that_complains_only_after_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    dag = parsed()["receive_events"]
    assert dag.get_task("receive").downstream_task_ids == {"runs", "complain"}
    assert dag.get_task("runs").downstream_task_ids == {"retrain"}
    assert dag.get_task("complain").retries == 0


def test_what_airflow_stores_of_the_dag_holds_no_password_and_is_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    first, second = (DagSerialization.to_dict(parsed()["receive_events"]) for _ in range(2))
    assert first == second
    assert "secret" not in str(first)
    assert "tandem_queue.MessageTrigger" in str(first)


def test_a_message_that_could_not_be_used_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.errors import UsageError

    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", QUEUE)
    complain = parsed()["receive_events"].get_task("complain").python_callable
    complain({"refused": []})
    with pytest.raises(UsageError, match="Message 1"):
        complain({"refused": ["Message 1 ('x'): no."]})
