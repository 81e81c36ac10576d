"""A language model through the same Airflow: fine-tuned by real processes, killed half-way, judged, and undone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.errors import Refused
from pipelines.local.demo import run_dag
from tests.end_to_end.test_killed_tasks import task_processes

pytestmark = pytest.mark.timeout(600)
FIRST_CHECKPOINT_SECONDS = 240


@pytest.fixture(scope="module")
def killed(workplace: Any) -> dict[str, Any]:
    """A training whose task was killed after a checkpoint, and which went on with two processes instead of one."""
    workplace.trigger("helper", "killed", {"note": "half-way"})
    checkpoints = workplace.home / "checkpoints"
    deadline = time.monotonic() + FIRST_CHECKPOINT_SECONDS
    while not list(checkpoints.glob("*/step-*")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    ti_id = workplace.task("helper", "killed", "train")["id"]
    victim: psutil.Process = dict(task_processes())[ti_id]
    workers = victim.children(recursive=True)
    victim.kill()
    spec = workplace.root / "config" / "models" / "helper.yaml"
    spec.write_text(spec.read_text().replace("processes: 1", "processes: 2"))
    state = workplace.follow("helper", "killed")
    lines = [
        line.text
        for line in workplace.api.log_lines("train__helper", "killed", workplace.task("helper", "killed", "train"))
    ]
    return {"state": state, "workers": workers, "lines": lines}


def test_a_training_killed_half_way_goes_on_by_airflows_own_retry_with_another_number_of_processes(
    workplace: Any, killed: dict[str, Any]
) -> None:
    assert killed["state"] == "success"
    assert workplace.task("helper", "killed", "train")["try_number"] == 2
    told = "\n".join(killed["lines"])
    assert "goes on" in told
    assert "step 1/" not in told, "it began again at its first step"
    assert not [process for process in killed["workers"] if process.is_running()]


def test_the_command_line_makes_the_same_corpus_and_passes_the_same_gate(
    workplace: Any, killed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone = workplace.answer("run", "helper", home=tmp_path_factory.mktemp("alone"))
    for step, key in (("snapshot", "snapshot_id"), ("pack", "manifest_sha256")):
        assert workplace.api.returned("train__helper", "killed", step)[key] == alone[step][key], (step, key)
    assert alone["verdict"]["outcome"] == workplace.api.returned("train__helper", "killed", "gate")["outcome"]


def test_its_champion_is_explained_and_answers(workplace: Any, killed: dict[str, Any]) -> None:
    (status,) = workplace.answer("status", "helper")
    assert status["champion"]["version"] == status["alias_version"] == 1
    explained = workplace.answer("explain", "helper")
    assert explained["verified"], explained["problems"]
    names = {link["link"] for link in explained["links"]}
    assert {"model file", "model file in MLflow", "prepared all", "snapshot", "predictions"} <= names
    assert {"training record", "plan", "packed corpus", "packed train.arrow"} <= names
    assert workplace.answer("ledger", "helper", "--verify")["verified"]


def test_the_next_plan_shows_how_the_last_forecast_did(workplace: Any, killed: dict[str, Any]) -> None:
    forecasts = workplace.answer("plan", "helper")["forecasts"]
    (training,) = forecasts["trainings"]
    assert (training["version"], training["world_size"]) == (1, 2)
    assert abs(training["memory_error"]) == forecasts["median_memory_error"] < 0.5
    assert training["step_seconds"] > 0
    assert forecasts["problems"] == []


def test_an_altered_byte_of_the_weights_is_named_and_nothing_verifies(workplace: Any, killed: dict[str, Any]) -> None:
    (weights,) = (workplace.home / "store" / "helper" / "models").glob("*/model.safetensors")
    good = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(bytes([*good[:-1], good[-1] ^ 1]))
    try:
        done = workplace.tandem("ledger", "helper", "--verify")
        assert done.returncode != 0
        assert "model.safetensors" in done.stdout + done.stderr
    finally:
        weights.write_bytes(good)
    assert workplace.answer("ledger", "helper", "--verify")["verified"]


def test_corpus_reports_are_linked_from_their_tasks(workplace: Any, killed: dict[str, Any]) -> None:
    for task, kind in (("prepare", "corpus"), ("pack", "packed")):
        buttons = workplace.api.buttons("train__helper", "killed", task)
        assert f"/tandem/reports/train__helper/{kind}/" in buttons["Corpus report"]


def test_a_training_that_ruins_the_model_is_refused_and_promotes_nothing(
    workplace: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("ruined")
    done = workplace.tandem("run", "forgetful", "--json", home=home)
    assert done.returncode == Refused.exit_code, done.stderr
    assert json.loads(done.stdout)["error"] in {"TrainingDiverged", "GateFailed"}
    assert workplace.answer("ledger", "forgetful", home=home)["entries"] == []
    assert not list(Path(home, "store", "forgetful", "ledger").glob("*.json"))


@pytest.mark.slow
def test_a_training_that_ruins_the_model_is_red_in_airflow_too(workplace: Any) -> None:
    with pytest.raises(Refused):
        run_dag("forgetful", workplace.links)
    (run_id,) = workplace.api.run_ids("train__forgetful")
    states = {task["task_id"]: task["state"] for task in workplace.api.tasks("train__forgetful", run_id)}
    assert states["promote"] == "upstream_failed"
    assert "failed" in (states["train"], states["gate"])
    assert workplace.answer("ledger", "forgetful")["entries"] == []
    assert not list(Path(workplace.home, "store", "forgetful", "ledger").glob("*.json"))
