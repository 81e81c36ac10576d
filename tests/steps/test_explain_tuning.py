from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.llm.history import Training
from pipelines.llm.keys import packed_key, plan_key
from pipelines.llm.packing.manifest import LeftOut, PackedFile, PackedManifest
from pipelines.records import Candidate, sha256_of
from pipelines.registry.chain import Chain
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.explain_tuning import follow_tuning
from pipelines.store.verified import write_record
from tests.llm.corpora import context_of
from tests.llm.training import make_plan

SEQUENCES = b"sequences of tokens"
LINKS = ["training record", "plan", "packed corpus", "packed train.arrow"]


@pytest.fixture
def context(tiny_model: Path, tmp_path: Path) -> Context[LlmSpec]:
    """The surroundings of a model that was tuned by a plan on a packed corpus of one file."""
    return context_of(tiny_model, tmp_path)


@pytest.fixture
def candidate(context: Context[LlmSpec]) -> Candidate:
    """The candidate of that training."""
    store, plan = context.store, make_plan()
    file = PackedFile(
        path="train.arrow", content_sha256=sha256_of(SEQUENCES), size_bytes=len(SEQUENCES), num_sequences=1,
        num_documents=1, num_tokens=1, num_answer_tokens=1,
    )  # fmt: skip
    manifest = PackedManifest(
        model="toy", snapshot_id="5" * 64, training_sha256="t", pretrained_sha256="p", sequence_length=64, settings={},
        files=(file,), num_rows=1, num_cut=0, num_validation_groups=1,
        left_out=LeftOut(unusable=2, contaminated=0, without_answer=0), false_positive_rate=0.0, canaries=(),
    )  # fmt: skip
    store.write(packed_key("toy", manifest.sha256), manifest.to_bytes())
    store.write(packed_key("toy", manifest.sha256, file.path), SEQUENCES)
    store.write(plan_key("toy", "p"), plan.to_bytes())
    training = Training(
        plan_id="p", plan_sha256=plan.sha256, identity="i", packed_sha256=manifest.sha256, world_size=1,
        resumed_from=None, num_steps=8, best_step=7, base_loss=2.0, best_loss=1.0, num_tokens=1, tokens_per_second=1.0,
        seconds=1.0, peak_bytes=1, forecast_bytes=1, step_seconds=1.0, forecast_step_seconds=1.0, steps=(), looks=(),
    )  # fmt: skip
    return Candidate(
        model="toy", snapshot_id="5" * 64, model_key="toy/models/m/model.json", model_sha256="m",
        training_key=write_record(store, "toy/trainings", training), mlflow_run_id="r", algorithm="full",
        validation_metric="validation loss", validation_score=1.0, num_trials=1, seconds=1.0, spec_sha256="s",
        code_commit="c", environment_sha256="e",
    )  # fmt: skip


def followed(context: Context[LlmSpec], candidate: Candidate) -> Chain:
    chain = Chain()
    follow_tuning(context, chain, candidate)
    return chain


def test_a_tuned_model_is_followed_to_every_file_that_it_learnt(
    context: Context[LlmSpec], candidate: Candidate
) -> None:
    chain = followed(context, candidate)
    assert [link["link"] for link in chain.links] == LINKS
    assert chain.is_whole, chain.problems
    record, plan, corpus, file = chain.links
    assert record["says"]["best_step"] == 7
    assert (plan["key"], plan["says"]["num_steps"]) == ("toy/plans/p.json", 8)
    assert corpus["says"]["left_out"]["unusable"] == 2
    assert file["key"] == f"toy/packed/{corpus['sha256']}/train.arrow"


@pytest.mark.parametrize("broken", LINKS[1:])
def test_what_is_not_what_was_written_is_named(context: Context[LlmSpec], candidate: Candidate, broken: str) -> None:
    link = next(link for link in followed(context, candidate).links if link["link"] == broken)
    context.store.write(link["key"], context.store.read(link["key"]) + b" ")
    chain = followed(context, candidate)
    assert [link["link"] for link in chain.links if not link["verified"]] == [broken]
    assert f"{link['key']!r}" in chain.problems[0]
    assert "was altered" in chain.problems[0]
