from __future__ import annotations

import os
import runpy
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG

from pipelines.steps.run import TRAINING_STEPS

ROOT = Path(__file__).resolve().parents[2]
SPEC = """
kind: llm
name: helper
description: Answers.
source: {type: files, paths: [rows.jsonl], format: jsonl, partition_by: none}
holdout: {by: key, share: 0.1}
pretrained: {path: /models/tiny}
HARDWARE
gates:
  rules:
    - {metric: perplexity, better_than_base_by: 0.1}
"""


def _dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hardware: str = "") -> DAG:
    models = tmp_path / "config" / "models"
    models.mkdir(parents=True)
    (models / "helper.yaml").write_text(SPEC.replace("HARDWARE", hardware))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    dag: DAG = runpy.run_path(os.fspath(ROOT / "dags" / "train_models.py"))["train__helper"]
    return dag


def test_a_language_model_goes_through_its_own_steps_and_the_shared_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = _dag(tmp_path, monkeypatch)
    assert "broken spec" not in dag.tags, dag.doc_md
    for earlier, later in pairwise(TRAINING_STEPS["llm"]):
        assert later in dag.get_task(earlier).downstream_task_ids, (earlier, later)
    assert dag.get_task("gate").retries == 0


def test_a_training_takes_a_slot_a_gpu_on_the_workers_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = _dag(tmp_path, monkeypatch, "hardware: {gpus: 8, queue: gpu-nodes}")
    task = dag.get_task("train")
    assert (task.pool, task.pool_slots, task.queue) == ("gpu", 8, "gpu-nodes")
    assert (dag.get_task("pack").pool, dag.get_task("pack").pool_slots) == ("default_pool", 1)


def test_an_evaluation_takes_the_one_gpu_that_it_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = _dag(tmp_path, monkeypatch, "hardware: {gpus: 8, queue: gpu-nodes}").get_task("evaluate")
    assert (task.pool, task.pool_slots, task.queue) == ("gpu", 1, "gpu-nodes")


def test_without_gpus_no_pool_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = _dag(tmp_path, monkeypatch, "hardware: {processes: 2}")
    for name in ("train", "evaluate"):
        assert (dag.get_task(name).pool, dag.get_task(name).pool_slots) == ("default_pool", 1)


def test_the_form_asks_for_no_search_budget_and_no_window_where_there_is_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(_dag(tmp_path, monkeypatch).params) == {"note"}
