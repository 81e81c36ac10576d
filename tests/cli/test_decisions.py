from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.registry.decisions import decision_key
from pipelines.spec import Environment
from pipelines.steps.context import Context
from pipelines.steps.request import request, sweep
from tests.steps.deciding import MODEL, begun, wish


@pytest.fixture
def context(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Surroundings in which one retraining began and another is held by the cooldown."""
    monkeypatch.setenv("TANDEM_HOME", str(environment.home))
    context = Context.open(MODEL)
    begun(context, request(context, wish(1, note="slow [b]"), "2013-05-01"), as_of="2013-05-01")
    request(context, wish(2), "2013-05-02")
    return context


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_each_decision_is_listed_with_its_moment_run_and_reasons(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decisions", MODEL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["entry", "1", "2", "3"]
    assert "2013-05-01 00:00:00  requested  retrain__" in lines[1]
    assert "event: slow [b]" in lines[1]
    assert "begun" in lines[2]
    assert "by the cooldown of" in lines[3]


def test_decisions_are_one_json_document(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decisions", MODEL, "--json"]) == 0
    decisions = _json(capsys)["decisions"]
    assert [entry["action"] for entry in decisions] == ["requested", "begun", "requested"]
    assert all(entry["sha256"] and entry["reasons"] and entry["as_of"] for entry in decisions)


def test_those_of_a_replay_are_listed_apart(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    request(context.within("y2013"), wish(9), "2013-05-01")
    assert main(["decisions", MODEL, "--replay", "y2013", "--json"]) == 0
    assert [entry["requests"] for entry in _json(capsys)["decisions"]] == [[wish(9).id]]


def test_an_altered_decision_is_named_and_ends_with_3(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", MODEL, "--verify"]) == 0
    assert "3 decision(s) about retraining" in capsys.readouterr().out
    key = decision_key(MODEL, 2)
    context.store.write(key, context.store.read(key).replace(b'"airflow"', b'"nobody"'))
    for command in (["decisions", MODEL], ["ledger", MODEL, "--verify"]):
        assert main(command) == 3
        assert f"Decision {key} was altered" in capsys.readouterr().err


def test_status_says_until_when_a_retraining_waits(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", MODEL]) == 0
    shown = capsys.readouterr().out
    run_after = str(sweep(context).run_after)
    assert run_after > "2013-05-02"
    assert f"may begin from {run_after[:16].replace('T', ' ')} UTC on" in shown
    assert "1 request(s): event, asked by ada" in shown
