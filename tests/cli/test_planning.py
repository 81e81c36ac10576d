from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.cli.planning import _show_forecasts
from pipelines.spec import Environment

ROOT = Path(__file__).resolve().parents[2]
SPEC = """
kind: llm
name: toy
description: Answers about sums.
source: {{type: files, paths: [rows.jsonl], format: jsonl, partition_by: none}}
holdout: {{by: key, share: 0.5}}
pretrained: {{path: {model}}}
training: {{sequence_length: 64, sequences_per_step: 8, max_steps: 40}}
hardware: {hardware}
gates: {{rules: [{{metric: answer_loss, better_than_base_by: 0.0}}]}}
"""


@pytest.fixture
def write_spec(environment: Environment, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    models = tmp_path / "root" / "config" / "models"
    models.mkdir(parents=True)
    (models.parent / "environments").symlink_to(ROOT / "config" / "environments")
    (models / "flight_delay.yaml").write_text((ROOT / "config" / "models" / "flight_delay.yaml").read_text())
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("TANDEM_HOME", str(environment.home))

    def write(hardware: str) -> None:
        (models / "toy.yaml").write_text(SPEC.format(model=tiny_model, hardware=hardware))

    return write


def test_the_plan_is_shown_with_every_other_way(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{memory_bytes: 4000000000, threads: 1}")
    assert main(["plan", "toy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "LlamaForCausalLM" in lines[0]
    assert sum(line.startswith(" >") for line in lines) == 1
    assert sum(line.rstrip().endswith("fits") for line in lines) == 23  # 3 stages x 2 x 4 batches, less the plan
    assert "40 steps (the spec's max_steps" in lines[-1]


def test_the_plan_as_json_has_deepspeeds_settings(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{gpus: 8, memory_bytes: 85899345920, node_memory_bytes: 1000000000000, flops: 9.89e+14}")
    assert main(["plan", "toy", "--json", "--sequences", "80"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["machine"]["on_gpu"] is True
    assert (answer["plan"]["world_size"], answer["plan"]["num_steps"]) == (8, 10)
    assert answer["plan"]["deepspeed"]["train_batch_size"] == 8
    assert answer["plan"]["launch"]["processes_per_node"] == 8


def test_several_nodes_are_told_how_they_meet(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gpus = "gpus: 2, memory_bytes: 85899345920, node_memory_bytes: 1000000000000, flops: 9.89e+14"
    write_spec(f"{{{gpus}, nodes: 2, rendezvous: 'first:29500'}}")
    assert main(["plan", "toy"]) == 0
    told = capsys.readouterr().out
    assert "on each of 2 nodes: torchrun --nnodes=2 --nproc-per-node=2 --rdzv-backend=c10d" in told


def test_what_does_not_fit_ends_with_2_and_what_would(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{memory_bytes: 100000000, threads: 1}")
    assert main(["plan", "toy"]) == 2
    assert "What would fit: " in capsys.readouterr().err


def test_gpus_without_a_description_end_with_2(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{gpus: 8, memory_bytes: 85899345920}")
    assert main(["plan", "toy"]) == 2
    assert "flops: 9.89e+14" in capsys.readouterr().err


def test_a_classic_model_has_no_such_plan(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "flight_delay"]) == 2
    assert "searched for within a budget" in capsys.readouterr().err


def test_a_number_of_sequences_that_is_none_ends_with_2(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{}")
    assert main(["plan", "toy", "--sequences", "0"]) == 2
    assert "--sequences: found 0" in capsys.readouterr().err


def test_how_earlier_forecasts_did_is_shown_with_the_median_error(capsys: pytest.CaptureFixture[str]) -> None:
    one = {"version": 2, "forecast_bytes": 1.1e9, "peak_bytes": 1e9, "memory_error": 0.1}
    training = {**one, "forecast_step_seconds": 0.9, "step_seconds": 1.0, "time_error": -0.1}
    _show_forecasts(
        {"trainings": [training], "median_memory_error": 0.1, "median_time_error": 0.1, "problems": ["version 1: gone"]}
    )
    problem, *_, line, summary = capsys.readouterr().out.splitlines()
    assert "version 1: gone" in problem
    assert line.split() == ["2", "1.10", "1.00", "+10", "%", "0.90", "1.00", "-10", "%"]
    assert summary == "median error of 1 training(s): memory 10 %, time 10 %"


def test_the_plan_as_json_has_the_score_of_earlier_ones(write_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_spec("{memory_bytes: 4000000000, threads: 1}")
    assert main(["plan", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forecasts"]["trainings"] == []


def test_nothing_but_the_document_is_on_stdout_not_even_what_deepspeed_says(write_spec: Any) -> None:
    write_spec("{memory_bytes: 4000000000, threads: 1}")
    environment = {name: value for name, value in os.environ.items() if name != "DS_ACCELERATOR"}
    command = [str(Path(sys.executable).with_name("tandem")), "plan", "toy", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "toy"
