from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.records import RetrainingRequest
from pipelines.registry.connection import connect
from pipelines.registry.decisions import decision_key
from pipelines.registry.ledger import entry_key, read_ledger
from pipelines.steps.context import Context
from pipelines.steps.request import request
from pipelines.steps.roll_back import roll_back
from pipelines.steps.status import status


def test_before_the_first_promotion_nothing_serves(workshop: Any) -> None:
    assert status(workshop.context) == {
        "model": "tiny",
        "champion": None,
        "previous_version": None,
        "num_entries": 0,
        "alias_version": None,
        "pending_retraining": None,
        "problems": [],
    }


def test_the_champion_is_told_with_its_metrics(champions: Any) -> None:
    context = champions(2).context
    answer = status(context)
    entry = read_ledger(context.store, "tiny")[-1]
    assert answer["champion"] == {
        "version": 2,
        "since": entry.at,
        "by": "ada",
        "action": "promote",
        "reason": entry.reason,
        "ledger_seq": 2,
        "candidate_sha256": entry.candidate_sha256,
        "snapshot_id": answer["champion"]["snapshot_id"],
        "algorithm": "boosting",
        "metrics": [{"metric": "roc_auc", "slice": "all", "value": 0.8, "low": 0.8, "high": 0.8, "num_rows": 35}],
    }
    assert (answer["previous_version"], answer["alias_version"], answer["problems"]) == (1, 2, [])
    assert json.loads(json.dumps(answer)) == answer


def test_after_a_rollback_the_version_gone_back_to_serves(champions: Any) -> None:
    workshop = champions(3)
    roll_back(workshop.context, "previous", "slow", "grace")
    answer = status(workshop.context)
    assert (answer["champion"]["version"], answer["champion"]["by"], answer["previous_version"]) == (2, "grace", 1)


def test_an_alias_that_stands_elsewhere_is_a_problem_and_is_left_alone(champions: Any) -> None:
    workshop = champions(2)
    connect(workshop.context.environment).set_registered_model_alias("tiny", "champion", "1")
    assert "stands at version 1, and by the ledger version 2 serves" in status(workshop.context)["problems"][0]
    assert status(workshop.context)["alias_version"] == 1


def test_a_broken_ledger_is_told_and_not_raised(champions: Any) -> None:
    workshop = champions(2)
    workshop.context.store.delete(entry_key("tiny", 1))
    answer = status(workshop.context)
    assert answer["champion"] is None
    assert "00000001.json is missing" in answer["problems"][0]


def test_with_mlflow_down_the_champion_is_told_all_the_same(champions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context = champions(1).context
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    gone = Context(context.spec, context.environment.model_copy(update={"mlflow": settings}), context.store)
    answer = status(gone)
    assert (answer["champion"]["version"], answer["alias_version"]) == (1, None)
    assert "MLflow does not answer" in answer["problems"][0]


def test_a_retraining_that_is_pending_is_told_with_its_time_and_reasons(workshop: Any) -> None:
    decided = request(workshop.context, RetrainingRequest(model="tiny", reason="event", note="slow", by="ada"))
    pending = status(workshop.context)["pending_retraining"]
    assert (pending["run_id"], pending["run_after"]) == (decided.run_id, decided.run_after)
    assert (pending["num_requests"], pending["why"], pending["by"]) == (1, ["event: slow"], "ada")
    workshop.context.store.write(decision_key("tiny", 1), b"{}")
    answer = status(workshop.context)
    assert answer["pending_retraining"] is None
    assert "00000001.json cannot be read" in answer["problems"][0]
