from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError, UsageError
from pipelines.llm.packing.manifest import LeftOut, PackedFile, PackedManifest
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.llm.pretrained import open_pretrained
from pipelines.records import Packed, RunRequest, SnapshotRef
from pipelines.registry.connection import connect
from pipelines.spec import Environment, LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.plan import plan
from pipelines.steps.llm.preview import preview
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import read_record

SPEC: dict[str, Any] = {
    "kind": "llm",
    "name": "toy",
    "description": "Answers about sums.",
    "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
    "holdout": {"by": "key", "share": 0.5},
    "training": {"sequence_length": 64, "sequences_per_step": 8, "epochs": 2},
    "hardware": {"memory_bytes": 4_000_000_000, "threads": 1},
    "gates": {"rules": [{"metric": "answer_loss", "better_than_base_by": 0.0}]},
}


def _context(environment: Environment, model: Path, **sections: dict[str, Any]) -> Context[LlmSpec]:
    changed = {name: {**SPEC.get(name, {}), **section} for name, section in sections.items()}
    spec = LlmSpec.model_validate({**SPEC, "pretrained": {"path": str(model)}, **changed})
    return Context(spec, environment, MemoryStore())


def _packed(context: Context[LlmSpec], **changes: Any) -> Packed:
    reference = SnapshotRef(
        model="toy", snapshot_id="s" * 64, training_key="toy/t.json", training_sha256="t" * 64, num_rows_train=100,
        num_rows_holdout=100,
    )  # fmt: skip
    pretrained = open_pretrained(context.spec.pretrained, context.environment.home)
    return Packed(
        **{
            "model": "toy", "snapshot": reference, "manifest_key": "toy/packed/p/manifest.json",
            "manifest_sha256": "a" * 64, "pretrained_sha256": pretrained.sha256, "sequence_length": 64,
            "num_documents": 300, "num_sequences": 100, "num_validation_sequences": 6, "num_tokens": 6300,
            "num_answer_tokens": 3200, "useful_share": 0.98, "num_decontaminated": 0, "report_key": "toy/r.html",
            **changes,
        }
    )  # fmt: skip


def test_a_plan_is_stored_and_its_run_is_open(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    planned = plan(context, _packed(context), RunRequest(by="ada"))
    detail = read_record(context.store, planned.plan_key, TrainingPlanDetail, planned.plan_sha256)
    assert (planned.num_steps, planned.world_size) == (25, 1) == (detail.num_steps, detail.world_size)
    assert planned.zero_stage == detail.zero_stage == detail.deepspeed["zero_optimization"]["stage"]
    assert planned.forecast_bytes == detail.memory.device
    run = connect(environment).get_run(planned.mlflow_run_id)
    assert run.info.status == "RUNNING"
    assert run.data.params["forecast_bytes"] == str(planned.forecast_bytes)
    assert run.data.params["micro_batch"] == str(detail.micro_batch)
    assert run.data.tags["tandem.snapshot_id"] == "s" * 64
    assert "tandem.note" not in run.data.tags


def test_the_same_training_is_planned_once(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    first = plan(context, _packed(context), RunRequest(by="ada"))
    assert plan(context, _packed(context), RunRequest(by="grace", note="again")) == first
    assert len(list(context.store.list("toy/plans/"))) == 1
    assert connect(environment).get_run(first.mlflow_run_id).data.tags["tandem.note"] == "again"


@pytest.mark.parametrize(
    "changed",
    [
        {"training": {"learning_rate": 2e-4}},
        {"training": {"seed": 1}},
        {"hardware": {"processes": 2}},
        {"hardware": {"memory_bytes": 8_000_000_000}},
    ],
)
def test_another_setting_is_another_plan(changed: dict[str, Any], environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    first = plan(context, _packed(context), RunRequest())
    other = _context(environment, tiny_model, **changed)
    second = plan(Context(other.spec, environment, context.store), _packed(context), RunRequest())
    assert second.plan_key != first.plan_key
    assert second.mlflow_run_id != first.mlflow_run_id


def test_another_corpus_is_another_plan(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    first = plan(context, _packed(context), RunRequest())
    second = plan(context, _packed(context, manifest_sha256="b" * 64, num_sequences=200), RunRequest())
    assert (second.plan_key != first.plan_key, second.num_steps) == (True, 50)


def test_a_corpus_packed_for_another_model_is_refused(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    with pytest.raises(UsageError, match="was packed for pretrained model cccccccccccccccc"):
        plan(context, _packed(context, pretrained_sha256="c" * 64), RunRequest())


@pytest.mark.parametrize(
    ("request_", "found"),
    [(RunRequest(budget_seconds=60.0), "budget_seconds 60"), (RunRequest(budget_trials=5), "trials 5")],
)
def test_a_budget_is_refused_with_what_does_apply(
    request_: RunRequest, found: str, environment: Environment, tiny_model: Path
) -> None:
    context = _context(environment, tiny_model)
    with pytest.raises(UsageError, match=rf"{found}, which bound a search.*'training.max_steps'"):
        plan(context, _packed(context), request_)


def test_what_cannot_fit_is_refused_before_a_run_is_opened(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model, hardware={"memory_bytes": 100_000_000})
    with pytest.raises(UsageError, match=r"none of .* ways fits into 0\.1 GB a process"):
        plan(context, _packed(context), RunRequest())
    assert not list(context.store.list("toy/"))
    assert connect(environment).get_experiment_by_name("toy") is None


def test_a_plan_that_was_altered_is_not_used(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    planned = plan(context, _packed(context), RunRequest())
    context.store.write(planned.plan_key, b'{"zero_stage": 7}')
    with pytest.raises(IntegrityError, match="is no plan of a training"):
        plan(context, _packed(context), RunRequest())


def test_a_preview_needs_no_corpus_and_writes_nothing(environment: Environment, tiny_model: Path) -> None:
    context = _context(environment, tiny_model)
    guess = preview(context)
    assert guess["plan"]["num_steps"] == 1000
    assert "no corpus is packed" in guess["length_from"]
    known = preview(context, num_sequences=100)
    assert known["plan"]["num_steps"] == 25
    assert not list(context.store.list(""))


def test_a_preview_takes_the_length_of_a_corpus_that_was_packed_for_it(
    environment: Environment, tiny_model: Path
) -> None:
    context = _context(environment, tiny_model)
    for number, length in ((100, 64), (40, 64), (900, 32)):  # the last one is for other sequences
        manifest = _manifest(context, number, length)
        context.store.write(f"toy/packed/{manifest.sha256}/manifest.json", manifest.to_bytes())
    answer = preview(context)
    assert answer["num_sequences"] == 100
    assert answer["length_from"].startswith("100 packed sequences in toy/packed/")
    assert answer["plan"]["num_steps"] == 25


def _manifest(context: Context[LlmSpec], num_sequences: int, sequence_length: int) -> PackedManifest:
    counts = {"num_documents": 3, "num_tokens": 60 * num_sequences, "num_answer_tokens": 30 * num_sequences}
    files = tuple(
        PackedFile(path=name, content_sha256="a" * 64, size_bytes=1, num_sequences=num_sequences, **counts)
        for name in ("train.arrow", "validation.arrow")
    )
    return PackedManifest(
        model="toy", snapshot_id="s", training_sha256="t", settings={}, files=files, num_rows=3, num_cut=0,
        pretrained_sha256=open_pretrained(context.spec.pretrained, context.environment.home).sha256,
        sequence_length=sequence_length, num_validation_groups=1, false_positive_rate=0.0, canaries=(),
        left_out=LeftOut(unusable=0, contaminated=0, without_answer=0),
    )  # fmt: skip
