from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.records import RunRequest
from pipelines.registry.decisions import read_decisions
from pipelines.steps.begin import begin
from pipelines.steps.context import Context
from pipelines.steps.receive import receive
from tests.steps.deciding import MODEL


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))


def event(number: int, model: str = MODEL) -> bytes:
    return json.dumps({"model": model, "evidence": {"number": number}}).encode()


def test_all_messages_of_a_model_go_into_one_run() -> None:
    received = receive([event(1), event(2), event(1)])
    (run,) = received.runs
    assert (received.num_messages, run.model, received.refused) == (3, MODEL, ())
    (entry,) = read_decisions(Context.open(MODEL).store, MODEL)
    assert (len(entry.requests), entry.run_id) == (2, run.run_id)


def test_what_cannot_be_used_does_not_stop_the_others() -> None:
    received = receive([b"not json", event(1), event(2, "nobody"), b"\xff", b"x" * 1_000_001])
    assert len(received.runs) == 1
    assert [text.split(" ", 2)[1] for text in received.refused] == ["1", "3", "4", "5"]
    assert received.refused_numbers == (1, 3, 4, 5)
    assert all("Nothing was done" in text for text in received.refused)
    assert max(map(len, received.refused)) < 1000


def test_the_same_messages_again_name_the_same_run_until_it_has_begun() -> None:
    first, again = receive([event(1)]), receive([event(1)])
    assert [run.run_id for run in again.runs] == [run.run_id for run in first.runs]
    context = Context.open(MODEL)
    begin(context, RunRequest(run_id=first.runs[0].run_id, by="airflow"))
    assert receive([event(1)]).runs == ()


def test_a_message_that_asks_for_nothing_is_no_complaint() -> None:
    received = receive([json.dumps({"Event": "s3:TestEvent"}).encode()])
    assert (received.runs, received.refused) == ((), ())
