from __future__ import annotations

from typing import Any

import pytest

from pipelines.records import RetrainingRequest
from pipelines.registry.decisions import decision_key
from pipelines.registry.ledger import entry_key, read_ledger
from pipelines.steps.context import Context
from pipelines.steps.request import request
from pipelines.steps.roll_back import roll_back
from pipelines.steps.verify_ledger import verify_ledger


def _alter(context: Context, key: str) -> None:
    data = bytearray(context.store.read(key))
    data[len(data) // 2] ^= 1
    context.store.write(key, bytes(data))


def test_a_sound_ledger_is_verified_entry_by_entry(champions: Any) -> None:
    workshop = champions(3)
    roll_back(workshop.context, 1, "slow", "grace")
    answer = verify_ledger(workshop.context)
    assert (answer["verified"], answer["problems"]) == (True, [])
    assert [(line["version"], line["action"], line["problem"]) for line in answer["entries"]] == [
        (1, "promote", None),
        (2, "promote", None),
        (3, "promote", None),
        (1, "roll_back", None),
    ]
    assert answer["head_sha256"] == answer["entries"][-1]["sha256"]


def test_an_empty_ledger_is_sound(workshop: Any) -> None:
    answer = verify_ledger(workshop.context)
    assert (answer["verified"], answer["entries"], answer["head_sha256"]) == (True, [], None)


@pytest.mark.parametrize("seq", [1, 2])
def test_an_altered_entry_is_the_one_problem(champions: Any, seq: int) -> None:
    context = champions(2).context
    _alter(context, entry_key("tiny", seq))
    answer = verify_ledger(context)
    (problem,) = answer["problems"]
    assert entry_key("tiny", seq) in problem
    assert [line["seq"] for line in answer["entries"]] == [number for number in (1, 2) if number != seq]


@pytest.mark.parametrize("what", ["verdict_key", "candidate_key"])
def test_an_altered_record_behind_an_entry_is_named_with_the_entry(champions: Any, what: str) -> None:
    context = champions(2).context
    key = getattr(read_ledger(context.store, "tiny")[0], what)
    _alter(context, key)
    answer = verify_ledger(context)
    (problem,) = answer["problems"]
    assert problem.startswith("Ledger entry 1 (version 1): ")
    assert key in problem
    assert [line["problem"] for line in answer["entries"]] == [problem, None]


def test_an_altered_model_behind_an_entry_is_named(champions: Any) -> None:
    context = champions(1).context
    (entry,) = read_ledger(context.store, "tiny")
    _alter(context, f"tiny/models/{entry.model_sha256}/model.skops")
    assert entry.model_sha256 in verify_ledger(context)["problems"][0]


def test_a_ledger_cut_at_its_end_shows_against_what_mlflow_saw(champions: Any) -> None:
    context = champions(2).context
    context.store.delete(entry_key("tiny", 2))
    answer = verify_ledger(context)
    assert [line["seq"] for line in answer["entries"]] == [1]
    assert "00000002.json is missing: MLflow saw it" in answer["problems"][0]


def test_with_mlflow_down_the_chain_is_verified_and_the_gap_told(
    champions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = champions(1).context
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    gone = Context(context.spec, context.environment.model_copy(update={"mlflow": settings}), context.store)
    answer = verify_ledger(gone)
    assert len(answer["entries"]) == 1
    assert "MLflow does not answer" in answer["problems"][0]


def test_an_altered_decision_about_retraining_is_a_problem_too(champions: Any) -> None:
    context = champions(1).context
    request(context, RetrainingRequest(model="tiny", reason="event", by="ada"))
    assert verify_ledger(context)["num_decisions"] == 1
    assert verify_ledger(context)["verified"]
    _alter(context, decision_key("tiny", 1))
    answer = verify_ledger(context)
    assert not answer["verified"]
    assert decision_key("tiny", 1) in answer["problems"][0]
    assert [line["problem"] for line in answer["entries"]] == [None]
