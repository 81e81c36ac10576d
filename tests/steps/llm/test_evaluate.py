"""Evaluate a language model as a step: on a real snapshot, with a tiny model, its base and a champion."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.data.snapshots import read_holdout, read_manifest
from pipelines.errors import DataError, GateFailed, IntegrityError
from pipelines.llm.evaluation.holdout import choose_held_out
from pipelines.llm.history import Training
from pipelines.llm.packing.canaries import make_canaries
from pipelines.llm.packing.manifest import LeftOut, PackedManifest
from pipelines.llm.pretrained import open_pretrained
from pipelines.records import Candidate, Evaluation, LedgerEntry, Partition, SnapshotRef, Validated, Window, sha256_of
from pipelines.registry import runs
from pipelines.registry.ledger import append_entry, read_ledger
from pipelines.spec import Environment, LlmSpec
from pipelines.spec.fine_tuning import LLM_METRICS
from pipelines.steps.answers import answers_key
from pipelines.steps.context import Context
from pipelines.steps.gate import gate
from pipelines.steps.headlines import headline
from pipelines.steps.llm.evaluate import evaluate
from pipelines.steps.snapshot import snapshot
from pipelines.store.memory import MemoryStore
from pipelines.store.trees import store_tree
from pipelines.store.verified import read_record, write_record

SPEC: dict[str, Any] = {
    "kind": "llm",
    "name": "toy",
    "description": "Answers about sums.",
    "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
    "holdout": {"by": "key", "share": 0.5},
    "training": {"sequence_length": 64},
    "ability": {
        "holdout_items": 24,
        "suites": ["arc_easy"],
        "items_per_suite": 12,
        "safety_items": 0,
        "shown_answers": 0,
    },
    "gates": {
        "rules": [
            {"metric": "answer_loss", "better_than_base_by": 0.0},
            {"metric": "general_accuracy", "no_worse_than_base_by": 0.5},
        ],
        "minimum_rows": 10,
        "bootstrap_samples": 100,
    },
}


def _rows() -> pa.Table:
    messages = [
        [
            {"role": "user", "content": f"What is {number} and {number % 7}?"},
            {"role": "assistant", "content": f"It is {number + number % 7}."},
        ]
        for number in range(80)
    ]
    return pa.table(
        {
            "messages": [json.dumps(one) for one in messages],
            "group": [f"group {number // 2}" for number in range(80)],
            "roles_in_order": [True] * 80,
            "is_duplicate": [False] * 80,
            "is_near_duplicate": [False] * 80,
            "language": ["en" if number % 4 else "de" for number in range(80)],
        }
    )


def _tuned(folder: Path, base: Path, scale: float) -> Path:
    """Write a model whose weights are the base's, moved: another one that answers otherwise."""
    folder.mkdir()
    for path in base.iterdir():
        if path.name == "model.safetensors":
            generator = torch.Generator().manual_seed(1)
            weights = {
                name: value + scale * torch.randn(value.shape, generator=generator).to(value.dtype)
                for name, value in load_file(path).items()
            }
            save_file(weights, folder / path.name, metadata={"format": "pt"})
        else:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@dataclass(frozen=True)
class Workshop:
    """Makes candidates of one snapshot."""

    context: Context[LlmSpec]
    snapshot: SnapshotRef
    base: Path
    folder: Path
    num_canaries: int = 0

    def candidate(self, scale: float, base_sha256: str | None = None) -> Candidate:
        """Store a tuned model and its record."""
        store, spec = self.context.store, self.context.spec
        base = open_pretrained(spec.pretrained, self.context.environment.home)
        folder = _tuned(self.folder / f"tuned {scale} {base_sha256}", self.base, scale)
        key, sha256 = store_tree(store, spec.name, folder, "full", base_sha256 or base.sha256)
        candidate = Candidate(
            model=spec.name, snapshot_id=self.snapshot.snapshot_id, model_key=key, model_sha256=sha256,
            training_key=self.training_key(),
            mlflow_run_id=runs.find_or_create_run(self.context.environment, spec, sha256),
            algorithm="full", validation_metric="validation loss", validation_score=1.0, num_trials=1, seconds=1.0,
            spec_sha256=spec.sha256, code_commit="c", environment_sha256="e",
        )  # fmt: skip
        write_record(store, f"{spec.name}/candidates", candidate)
        return candidate

    def training_key(self) -> str:
        """Store the record of a training on a corpus with canaries, and return its key."""
        store, spec = self.context.store, self.context.spec
        manifest = PackedManifest(
            model=spec.name, snapshot_id=self.snapshot.snapshot_id, training_sha256="t", pretrained_sha256="p",
            sequence_length=64, settings={}, files=(), num_rows=1, num_cut=0, num_validation_groups=1,
            left_out=LeftOut(unusable=0, contaminated=0, without_answer=0), false_positive_rate=0.0,
            canaries=make_canaries(self.num_canaries, 0) if self.num_canaries else (),
        )  # fmt: skip
        store.write(f"{spec.name}/packed/{manifest.sha256}/manifest.json", manifest.to_bytes())
        training = Training(
            plan_id="p", plan_sha256="p" * 64, identity="i", packed_sha256=manifest.sha256, world_size=1,
            resumed_from=None, num_steps=1, best_step=1, base_loss=2.0, best_loss=1.0, num_tokens=1,
            tokens_per_second=1.0, seconds=1.0, peak_bytes=1, forecast_bytes=1, step_seconds=1.0,
            forecast_step_seconds=1.0, steps=(), looks=(),
        )  # fmt: skip
        return write_record(store, f"{spec.name}/trainings", training)

    def promote(self, candidate: Candidate) -> LedgerEntry:
        """Append to the ledger what makes a candidate champion."""
        store, model = self.context.store, candidate.model
        entries = read_ledger(store, model)
        return append_entry(
            store, model, entries[-1].sha256 if entries else None, action="promote", version=len(entries) + 1,
            candidate_key=f"{model}/candidates/{candidate.sha256}.json", candidate_sha256=candidate.sha256,
            model_sha256=candidate.model_sha256, verdict_key="toy/verdicts/v.json", verdict_sha256="a" * 64,
            reason="good", by="ada",
        )  # fmt: skip


@pytest.fixture
def workshop(environment: Environment, tiny_model: Path, tmp_path: Path) -> Workshop:
    """A workshop of its own for each test, with a snapshot taken."""
    spec = LlmSpec.model_validate({**SPEC, "pretrained": {"path": str(tiny_model)}})
    store = MemoryStore()
    path = tmp_path / "rows.parquet"
    pq.write_table(_rows(), path)
    data = path.read_bytes()
    key = f"toy/clean/all/{sha256_of(data)}.parquet"
    store.write(key, data)
    clean = Partition(name="all", key=key, content_sha256=sha256_of(data), num_rows=80, size_bytes=len(data))
    validated = Validated(
        model="toy", window=Window(), partitions=(clean,), quarantined=(), num_rows_in=80, num_rows_bad=0, checks=(),
        report_key="toy/report.html",
    )  # fmt: skip
    context = Context(spec, environment, store)
    return Workshop(context, snapshot(context, validated), tiny_model, tmp_path)


def _figure(figures: tuple[Any, ...], metric: str, slice_name: str = "all") -> Any:
    (found,) = [one for one in figures if (one.metric, one.slice) == (metric, slice_name)]
    return found


def test_a_first_model_is_measured_beside_its_base(workshop: Workshop) -> None:
    candidate = workshop.candidate(0.01)
    evaluation = evaluate(workshop.context, candidate)
    manifest = read_manifest(workshop.context.store, "toy", candidate.snapshot_id)
    assert (evaluation.candidate_sha256, evaluation.candidate_model_sha256) == (
        candidate.sha256,
        candidate.model_sha256,
    )
    assert (evaluation.snapshot_id, evaluation.holdout_sha256) == (manifest.sha256, manifest.holdout.content_sha256)
    assert evaluation.champion_version is evaluation.champion_ledger_sha256 is evaluation.champion_saw_holdout is None
    assert evaluation.champion_metrics == evaluation.differences == ()
    assert evaluation.base_sha256 == open_pretrained(workshop.context.spec.pretrained, workshop.folder).sha256
    for metric in ("answer_loss", "perplexity", "general_accuracy"):
        ours, base = _figure(evaluation.metrics, metric), _figure(evaluation.base_metrics, metric)
        difference = _figure(evaluation.base_differences, metric)
        assert difference.value == pytest.approx(ours.value - base.value, abs=1e-8)
        assert difference.low <= difference.value <= difference.high
    loss = _figure(evaluation.metrics, "answer_loss")
    assert loss.value == pytest.approx(math.log(_figure(evaluation.metrics, "perplexity").value))
    assert evaluation.num_rows == loss.num_rows == 24
    assert _figure(evaluation.metrics, "general_accuracy", "suite=arc_easy").num_rows == 12


def test_the_evidence_is_stored_with_each_items_scores(workshop: Workshop) -> None:
    evaluation = evaluate(workshop.context, workshop.candidate(0.01))
    store = workshop.context.store
    assert read_record(store, f"toy/evaluations/{evaluation.sha256}.json", Evaluation) == evaluation
    data = store.read(evaluation.predictions_key)
    assert sha256_of(data) == evaluation.predictions_sha256
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    answers = [row for row in rows if row["measure"] == "answer_loss"]
    total = sum(row["base.over"] for row in answers) / sum(row["under"] for row in answers)
    assert _figure(evaluation.base_metrics, "answer_loss").value == pytest.approx(total)
    assert {row["measure"] for row in rows} == {"answer_loss", "general_accuracy"}
    held_out = set(read_holdout(store, "toy", evaluation.snapshot_id)["group"].to_pylist())
    assert {row["cluster"] for row in answers} <= held_out


def test_evaluating_again_reads_no_weights_and_changes_nothing(workshop: Workshop, loaded: list[Path]) -> None:
    candidate = workshop.candidate(0.01)
    first = evaluate(workshop.context, candidate)
    assert len(loaded) == 2
    stored = [(info.key, info.size_bytes) for info in workshop.context.store.list()]
    assert evaluate(workshop.context, candidate) == first
    assert [(info.key, info.size_bytes) for info in workshop.context.store.list()] == stored
    assert len(loaded) == 2


def test_the_champion_is_met_on_the_same_items_and_scored_once(workshop: Workshop, loaded: list[Path]) -> None:
    champion, challenger = workshop.candidate(0.01), workshop.candidate(0.03)
    alone = evaluate(workshop.context, champion)
    entry = workshop.promote(champion)
    evaluation = evaluate(workshop.context, challenger)
    assert len(loaded) == 3  # champion, base and challenger, each once
    assert (evaluation.champion_version, evaluation.champion_ledger_sha256) == (1, entry.sha256)
    assert evaluation.champion_saw_holdout is None
    assert evaluation.champion_metrics == alone.metrics
    assert evaluation.base_metrics == alone.base_metrics
    for metric in ("answer_loss", "general_accuracy"):
        difference = _figure(evaluation.differences, metric)
        ours, theirs = (_figure(group, metric).value for group in (evaluation.metrics, evaluation.champion_metrics))
        assert difference.value == pytest.approx(ours - theirs, abs=1e-8)


def test_a_model_is_never_held_against_itself(workshop: Workshop) -> None:
    candidate = workshop.candidate(0.01)
    first = evaluate(workshop.context, candidate)
    workshop.promote(candidate)
    assert evaluate(workshop.context, candidate) == first


def test_a_candidate_that_is_its_base_has_gained_nothing(workshop: Workshop) -> None:
    evaluation = evaluate(workshop.context, workshop.candidate(0.0))
    for difference in evaluation.base_differences:
        assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_a_candidate_of_another_base_is_refused(workshop: Workshop) -> None:
    with pytest.raises(IntegrityError, match="was tuned from pretrained model bbbb"):
        evaluate(workshop.context, workshop.candidate(0.01, base_sha256="b" * 64))


def test_each_value_of_a_column_of_the_holdout_is_a_slice(workshop: Workshop) -> None:
    gates = workshop.context.spec.gates.model_copy(update={"slices": ("language",)})
    spec = workshop.context.spec.model_copy(update={"gates": gates})
    evaluation = evaluate(Context(spec, workshop.context.environment, workshop.context.store), workshop.candidate(0.01))
    rows = {one.slice: one.num_rows for one in evaluation.metrics if one.metric == "answer_loss"}
    assert rows["language=de"] + rows["language=en"] == rows["all"]
    assert all("language" not in one.slice for one in evaluation.metrics if one.metric == "general_accuracy")


def test_a_model_that_gives_no_numbers_is_not_measured(workshop: Workshop) -> None:
    evaluation = evaluate(workshop.context, workshop.candidate(math.nan))
    assert {figure.value for figure in evaluation.metrics} == {None}
    assert {figure.value for figure in evaluation.base_differences} == {None}
    assert all(figure.value is not None for figure in evaluation.base_metrics)


def test_an_altered_champion_stops_the_step(workshop: Workshop) -> None:
    champion, challenger = workshop.candidate(0.01), workshop.candidate(0.03)
    workshop.promote(champion)
    key = champion.model_key.replace("model.json", "model.safetensors")
    data = bytearray(workshop.context.store.read(key))
    data[-1] ^= 1
    workshop.context.store.write(key, bytes(data))
    with pytest.raises(IntegrityError, match=r"champion version 1 \(ledger entry 1\) is not whole"):
        evaluate(workshop.context, challenger)


def test_everything_that_the_spec_asks_for_is_measured_of_all_models(workshop: Workshop) -> None:
    changes = {"safety_items": 3, "generated_items": 6, "shown_answers": 2, "max_new_tokens": 4, "answer_form": "json"}
    spec = LlmSpec.model_validate(
        {**workshop.context.spec.model_dump(), "ability": {**workshop.context.spec.ability.model_dump(), **changes}}
    )
    context = Context(spec, workshop.context.environment, workshop.context.store)
    evaluation = evaluate(context, replace(workshop, num_canaries=3).candidate(0.01))
    measured = {figure.metric for figure in evaluation.metrics if figure.slice == "all"}
    assert measured == set(LLM_METRICS)
    assert measured == {figure.metric for figure in evaluation.base_differences if figure.slice == "all"}
    assert all(figure.value is not None for figure in (*evaluation.metrics, *evaluation.base_metrics))
    few = _figure(evaluation.metrics, "toxicity")  # three items show no interval, and say so by having none
    assert (few.num_rows, few.low, few.high) == (3, None, None)


def test_answers_are_shown_side_by_side_with_figures_and_pictures(workshop: Workshop) -> None:
    ability = workshop.context.spec.ability.model_copy(update={"shown_answers": 2, "max_new_tokens": 4})
    spec = workshop.context.spec.model_copy(update={"ability": ability})
    context = Context(spec, workshop.context.environment, workshop.context.store)
    champion, challenger = workshop.candidate(0.01), workshop.candidate(0.03)
    workshop.promote(champion)
    evaluation = evaluate(context, challenger)
    page = context.store.read(answers_key(evaluation)).decode()
    assert page.count("**held-out answer**") == page.count("**base**") == page.count("**champion**") == 2
    assert page.count("## What is ") == 2
    client = runs.connect(context.environment)
    found = {Path(one.path).name for one in client.list_artifacts(challenger.mlflow_run_id, "evaluation")}
    assert found == {"answers.md", "challenger_against_base.png", "challenger_against_champion.png"}
    data = client.get_run(challenger.mlflow_run_id).data
    assert data.tags["tandem.evaluation_sha256"] == evaluation.sha256
    shown = data.metrics["challenger minus base/answer_loss"]
    assert shown == _figure(evaluation.base_differences, "answer_loss").value


def test_the_gate_takes_the_evidence_and_rejects_what_is_no_better(workshop: Workshop) -> None:
    candidate = workshop.candidate(0.0)
    evaluation = evaluate(workshop.context, candidate)
    with pytest.raises(GateFailed, match=r"answer_loss: challenger minus base = \+0\.000 .* needs to be < \+0\.000"):
        gate(workshop.context, candidate, evaluation)


def test_a_holdout_of_duplicates_alone_is_refused(workshop: Workshop) -> None:
    rows = _rows().set_column(3, "is_duplicate", pa.array([True] * 80))
    with pytest.raises(DataError, match="none of 80 held-out conversations can be asked about"):
        choose_held_out(rows, workshop.context.spec, 0)


def test_the_log_says_the_figures_beside_those_of_the_base(workshop: Workshop) -> None:
    evaluation = evaluate(workshop.context, workshop.candidate(0.01))
    ours, base = (_figure(group, "answer_loss").value for group in (evaluation.metrics, evaluation.base_metrics))
    assert headline(evaluation).startswith(f"answer_loss {ours:.4f} (base {base:.4f}), ")
