from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.registry.ledger import append_entry
from pipelines.spec import Environment
from pipelines.store import open_store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(environment.home))


@pytest.fixture
def broken_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models = tmp_path / "root" / "config" / "models"
    models.mkdir(parents=True)
    (models.parent / "environments").symlink_to(ROOT / "config" / "environments")
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    text = text.replace("metric: roc_auc\n", "metric: roc_auk\n", 1).replace("  calibrate: true", "  calibrat: true")
    (models / "flight_delay.yaml").write_text(text)
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path / "root"))
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_shipped_specs_pass_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == 0
    assert "flight_delay" in _json(capsys)["models"]


def test_a_broken_spec_ends_with_2_and_every_problem(broken_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == 2
    problems = _json(capsys)["problems"]
    assert [problem["key"] for problem in problems] == ["training.calibrat"] or len(problems) == 2
    assert all(problem["line"] and problem["file"].endswith("flight_delay.yaml") for problem in problems)
    assert "calibrate" in problems[-1]["allowed"]


def test_problems_are_shown_a_line_each_with_file_and_line(
    broken_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "config/models/flight_delay.yaml:" in captured.err
    assert "found" in captured.err


@pytest.mark.parametrize("command", ["status", "explain", "ledger", "check", "run"])
def test_an_unknown_model_ends_with_2_and_its_nearest_match(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "flight_dely"]) == 2
    assert "flight_delay" in capsys.readouterr().err


def test_a_model_without_a_champion_has_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "flight_delay", "--json"]) == 0
    (status,) = _json(capsys)
    assert status["champion"] is None
    assert status["problems"] == []


def test_a_model_without_a_champion_cannot_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "flight_delay", "--json"]) == 2
    assert "no champion" in _json(capsys)["message"]


def test_an_empty_ledger_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "flight_delay", "--verify", "--json"]) == 0
    assert _json(capsys)["entries"] == []


def test_a_rollback_without_a_champion_is_refused_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "flight_delay", "--to", "previous", "--reason", "test"]) == 1
    assert "Nothing was changed" in capsys.readouterr().err


def test_a_rollback_to_no_number_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "flight_delay", "--to", "best", "--reason", "test"]) == 2
    assert "'best'" in capsys.readouterr().err


def test_a_rollback_from_another_version_than_serves_is_refused_with_1(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = dict.fromkeys(("candidate_sha256", "model_sha256", "verdict_sha256"), "0" * 64)
    named = {"candidate_key": "candidate", "verdict_key": "verdict", "reason": "good", "by": "ada"}
    store = open_store(environment.store)
    append_entry(store, "flight_delay", None, action="promote", version=1, **hashes, **named)
    assert main(["rollback", "flight_delay", "--to", "previous", "--from", "7", "--reason", "test"]) == 1
    assert "Version 7 of flight_delay does not serve: version 1 serves since" in capsys.readouterr().err


def test_a_rollback_from_no_number_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["rollback", "flight_delay", "--to", "previous", "--from", "best", "--reason", "test"])
    assert "'best'" in capsys.readouterr().err


def test_an_unknown_step_ends_with_2_and_the_steps_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "deploy", "flight_delay"]) == 2
    assert "ingest" in capsys.readouterr().err


def test_a_step_is_told_that_its_input_is_no_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("not json"))
    assert main(["step", "ingest", "flight_delay"]) == 2
    assert "stdin" in capsys.readouterr().err


@pytest.mark.parametrize("records", ["[]", '{"a": 1}', '[{"window": 3}]', "[1, 2, 3]"])
def test_a_step_refuses_records_that_are_not_its_own(
    records: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(records))
    assert main(["step", "ingest", "flight_delay"]) == 2
    assert "ingest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "records"),
    [("find_champion", '["2026-01-01T00:00:00Z"]'), ("roll_back", '["previous", "slow", "ada", 2]')],
)
def test_a_step_of_a_rollback_reads_its_records_and_is_refused_with_1_where_nothing_serves(
    step: str, records: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(records))
    assert main(["step", step, "flight_delay"]) == 1
    assert "there is nothing to go back from. Nothing was changed" in capsys.readouterr().err


def test_nothing_runs_and_down_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert "Nothing was running" in capsys.readouterr().out
