from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipelines.errors import IntegrityError, ObjectMissing, TrainingError, UsageError
from pipelines.llm.history import Training
from pipelines.llm.packing.manifest import LeftOut, PackedFile, PackedManifest
from pipelines.llm.pretrained import open_pretrained
from pipelines.llm.sequences import GENERAL, MANIFEST, TRAIN, VALIDATION
from pipelines.records import Packed, RunRequest, SnapshotRef, TuningPlan
from pipelines.registry.connection import connect
from pipelines.spec import Environment, LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.plan import plan
from pipelines.steps.llm.train import train
from pipelines.store.memory import MemoryStore
from pipelines.store.trees import fetch_tree, read_tree
from pipelines.store.verified import read_record
from tests.llm.training import LENGTH, NUM_GENERAL, NUM_TRAIN, NUM_VALIDATION, killed_at, write_packed

TRAINING = {
    "sequence_length": LENGTH,
    "sequences_per_step": 4,
    "max_steps": 8,
    "epochs": 2,
    "learning_rate": 3e-3,
    "evaluate_every": 4,
    "checkpoint_every": 3,
}
SPEC: dict[str, Any] = {
    "kind": "llm",
    "name": "toy",
    "description": "Counts by seven.",
    "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
    "holdout": {"by": "key", "share": 0.5},
    "training": TRAINING,
    "hardware": {"memory_bytes": 4_000_000_000, "threads": 1},
    "gates": {"rules": [{"metric": "answer_loss", "better_than_base_by": 0.0}]},
}


@pytest.fixture
def context(environment: Environment, tiny_model: Path) -> Context[LlmSpec]:
    return Context(_spec(tiny_model), environment, MemoryStore())


def _spec(model: Path, **sections: dict[str, Any]) -> LlmSpec:
    changed = {name: {**SPEC.get(name, {}), **section} for name, section in sections.items()}
    return LlmSpec.model_validate({**SPEC, "pretrained": {"path": str(model)}, **changed})


@pytest.fixture
def planned(context: Context[LlmSpec], tmp_path: Path) -> TuningPlan:
    return plan(context, _pack(context, tmp_path / "packed"), RunRequest(by="ada"))


def _pack(context: Context[LlmSpec], folder: Path) -> Packed:
    """Store packed sequences as the step before does."""
    write_packed(folder)
    snapshot = SnapshotRef(
        model="toy", snapshot_id="s" * 64, training_key="toy/t.json", training_sha256="t" * 64, num_rows_train=100,
        num_rows_holdout=100,
    )  # fmt: skip
    pretrained_sha256 = open_pretrained(context.spec.pretrained, context.environment.home).sha256
    manifest = PackedManifest(
        model="toy",
        snapshot_id=snapshot.snapshot_id,
        training_sha256=snapshot.training_sha256,
        pretrained_sha256=pretrained_sha256,
        sequence_length=LENGTH,
        settings={},
        files=tuple(
            _file(folder / name, count)
            for name, count in ((TRAIN, NUM_TRAIN), (VALIDATION, NUM_VALIDATION), (GENERAL, NUM_GENERAL))
        ),
        num_rows=100,
        num_cut=0,
        num_validation_groups=3,
        left_out=LeftOut(unusable=0, contaminated=0, without_answer=0),
        false_positive_rate=0.0,
        canaries=(),
    )
    prefix = f"toy/packed/{manifest.sha256}"
    for file in manifest.files:
        context.store.upload(f"{prefix}/{file.path}", folder / file.path)
    context.store.write(f"{prefix}/{MANIFEST}", manifest.to_bytes())
    return Packed(
        model="toy", snapshot=snapshot, manifest_key=f"{prefix}/{MANIFEST}", manifest_sha256=manifest.sha256,
        pretrained_sha256=pretrained_sha256, sequence_length=LENGTH, num_documents=3 * NUM_TRAIN,
        num_sequences=NUM_TRAIN, num_validation_sequences=NUM_VALIDATION, num_tokens=NUM_TRAIN * (LENGTH - 4),
        num_answer_tokens=NUM_TRAIN * 40, useful_share=0.94, num_decontaminated=0, report_key="toy/r.html",
    )  # fmt: skip


def _file(path: Path, num_sequences: int) -> PackedFile:
    return PackedFile(
        path=path.name, content_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size_bytes=path.stat().st_size,
        num_sequences=num_sequences, num_documents=3 * num_sequences, num_tokens=60 * num_sequences,
        num_answer_tokens=40 * num_sequences,
    )  # fmt: skip


def _stop_at(context: Context[LlmSpec], planned: TuningPlan, step: int) -> None:
    with killed_at(step), pytest.raises(TrainingError, match="was killed by SIGKILL"):
        train(context, planned)


def test_training_leaves_a_candidate_its_weights_and_its_record(
    context: Context[LlmSpec], planned: TuningPlan, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    candidate = train(context, planned)
    training = read_record(context.store, candidate.training_key, Training)
    assert (training.num_steps, len(training.steps), training.resumed_from) == (8, 8, None)
    assert candidate.validation_score == training.best_loss < training.base_loss - 0.2
    assert training.peak_bytes > 300_000_000 < training.forecast_bytes
    tree = read_tree(context.store, candidate.model_key, candidate.model_sha256)
    assert (tree.kind, tree.base_sha256) == ("full", planned.packed.pretrained_sha256)
    with fetch_tree(context.store, candidate.model_key, candidate.model_sha256) as folder:
        AutoModelForCausalLM.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
    assert "step 8/8  loss " in caplog.text
    assert " tokens/s " in caplog.text
    home = context.environment.home
    assert not (home / "checkpoints" / Path(planned.plan_key).stem).exists()
    assert not list(context.store.list("toy/checkpoints/"))

    metrics = connect(context.environment).get_run(planned.mlflow_run_id).data.metrics
    assert {"validation_loss", "peak_bytes", "forecast_bytes", "step_seconds", "forecast_step_seconds"} <= set(metrics)
    curve = connect(context.environment).get_metric_history(planned.mlflow_run_id, "train_loss")
    assert [point.step for point in curve] == list(range(1, 9))
    for name in ("validation_loss", "general_loss"):
        points = connect(context.environment).get_metric_history(planned.mlflow_run_id, name)
        looks = [(look.step, look.loss if name == "validation_loss" else look.general_loss) for look in training.looks]
        assert [(point.step, point.value) for point in points] == looks
    assert [look.step for look in training.looks] == [0, 4, 8]
    assert training.base_general_loss == training.looks[0].general_loss
    assert training.best_general_loss == {look.step: look.general_loss for look in training.looks}[training.best_step]

    caplog.clear()
    assert train(context, planned) == candidate
    assert "step 1/8" not in caplog.text


def test_a_killed_training_goes_on_on_another_machine_with_another_number_of_processes(
    context: Context[LlmSpec], planned: TuningPlan, tiny_model: Path
) -> None:
    _stop_at(context, planned, 5)
    assert any(info.key.endswith("step-00000003/checkpoint.json") for info in context.store.list("toy/checkpoints/"))
    shutil.rmtree(context.environment.home / "checkpoints")
    wider = replace(context, spec=_spec(tiny_model, hardware={"processes": 2}))
    training = read_record(context.store, train(wider, planned).training_key, Training)
    assert (training.resumed_from, training.world_size, training.num_steps) == (3, 2, 8)


def test_adapters_are_stored_beside_merged_weights(environment: Environment, tiny_model: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_model, training={**TRAINING, "method": "lora", "max_steps": 2})
    context = Context(spec, environment, MemoryStore())
    candidate = train(context, plan(context, _pack(context, tmp_path / "packed"), RunRequest(by="ada")))
    tree = read_tree(context.store, candidate.model_key, candidate.model_sha256)
    assert tree.kind == "lora"
    assert {"model.safetensors", "adapter/adapter_model.safetensors"} <= {file.path for file in tree.files}


def test_an_altered_corpus_is_not_trained_on(context: Context[LlmSpec], planned: TuningPlan) -> None:
    key = planned.packed.manifest_key.replace(MANIFEST, TRAIN)
    context.store.write(key, context.store.read(key)[:-1] + b"x")
    with pytest.raises(IntegrityError, match="was altered"):
        train(context, planned)


def test_a_corpus_packed_for_another_model_is_refused(context: Context[LlmSpec], planned: TuningPlan) -> None:
    other = planned.model_copy(update={"packed": planned.packed.model_copy(update={"pretrained_sha256": "0" * 64})})
    with pytest.raises(UsageError, match="pack again"):
        train(context, other)


def test_a_plan_that_is_gone_is_told(context: Context[LlmSpec], planned: TuningPlan) -> None:
    context.store.delete(planned.plan_key)
    with pytest.raises(ObjectMissing):
        train(context, planned)
