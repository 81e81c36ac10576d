"""Tell how a fine-tuning would be run, without a run in MLflow or anything written to the store."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pipelines.llm.packing.manifest import PackedFile, PackedManifest
from pipelines.llm.planner.choose import choose
from pipelines.llm.planner.machine import as_dict, describe_machine
from pipelines.llm.planner.shape import read_shape
from pipelines.llm.pretrained import open_pretrained
from pipelines.llm.sequences import MANIFEST, TRAIN
from pipelines.spec import LlmSpec
from pipelines.spec.fine_tuning import FineTuning
from pipelines.steps.context import Context
from pipelines.store.verified import read_record

GUESSED_STEPS = 1000  # where neither a corpus nor 'max_steps' says how many


@dataclass(frozen=True)
class _Length:
    sequences: int
    learnt_share: float
    source: str


def preview(context: Context[LlmSpec], num_sequences: int | None = None) -> dict[str, Any]:
    """Return the plan that the spec gives, every other way to run it, and the machine it is reckoned for.

    Args:
        context: A language model's; a corpus that was packed for its spec says how long the training is.
        num_sequences: Packed sequences of the training side, in place of a corpus.

    Raises:
        UsageError: If nothing that the spec allows fits into memory; says what would.
    """
    spec, home = context.spec, context.environment.home
    pretrained = open_pretrained(spec.pretrained, home)
    length = _given(num_sequences) or _packed(context, pretrained.sha256) or _guessed(spec.training)
    machine = describe_machine(spec.hardware, home)
    shape = read_shape(pretrained.folder, spec.training)
    detail = choose(shape, spec.training, spec.hardware, machine, length.sequences, length.learnt_share)
    return {
        "model": spec.name,
        "architecture": shape.architecture,
        "num_sequences": length.sequences,
        "length_from": length.source,
        "machine": as_dict(machine),
        "torchrun": detail.launch.torchrun,
        "plan": detail.to_dict(),
    }


def _given(num_sequences: int | None) -> _Length | None:
    return None if num_sequences is None else _Length(num_sequences, 1.0, "the number of sequences given")


def _packed(context: Context[LlmSpec], pretrained_sha256: str) -> _Length | None:
    """Return the length of the largest corpus that was packed for this model: the one with the most data so far."""
    spec, found = context.spec, list[tuple[PackedFile, str]]()
    for item in context.store.list(f"{spec.name}/packed/"):
        if not item.key.endswith(f"/{MANIFEST}"):
            continue
        manifest = read_record(context.store, item.key, PackedManifest)
        if (manifest.pretrained_sha256, manifest.sequence_length) == (pretrained_sha256, spec.training.sequence_length):
            found += [(file, item.key) for file in manifest.files if file.path == TRAIN]
    if not found:
        return None
    file, key = max(found, key=lambda one: one[0].num_sequences)
    share = file.num_answer_tokens / max(1, file.num_sequences * spec.training.sequence_length)
    return _Length(file.num_sequences, min(1.0, share), f"{file.num_sequences:,} packed sequences in {key}")


def _guessed(training: FineTuning) -> _Length:
    steps = training.max_steps or GUESSED_STEPS
    said = "the spec's max_steps" if training.max_steps else f"a guess of {GUESSED_STEPS} steps"
    sequences = math.ceil(training.sequences_per_step * steps / training.epochs)
    return _Length(sequences, 1.0, f"{said}, all tokens learnt; no corpus is packed yet")
