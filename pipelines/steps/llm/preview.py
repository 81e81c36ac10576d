"""Tell how a fine-tuning would be run, without a corpus, a run in MLflow or anything written to the store."""

from __future__ import annotations

import math
from typing import Any

from pipelines.llm.planner.choose import choose
from pipelines.llm.planner.machine import as_dict, describe_machine
from pipelines.llm.planner.shape import read_shape
from pipelines.llm.pretrained import open_pretrained
from pipelines.spec import LlmSpec
from pipelines.spec.environment import Environment

GUESSED_STEPS = 1000  # where neither a corpus nor 'max_steps' says how many


def preview(spec: LlmSpec, environment: Environment, num_sequences: int | None = None) -> dict[str, Any]:
    """Return the plan that the spec gives, every other way to run it, and the machine it is reckoned for.

    Args:
        spec: A language model's.
        environment: Where pretrained models and measurements are kept.
        num_sequences: Packed sequences of the training side, where they are known.

    Raises:
        UsageError: If nothing that the spec allows fits into memory; says what would.
    """
    training = spec.training
    guess = math.ceil(training.sequences_per_step * (training.max_steps or GUESSED_STEPS) / training.epochs)
    sequences = num_sequences or guess
    machine = describe_machine(spec.hardware, environment.home)
    shape = read_shape(open_pretrained(spec.pretrained, environment.home).folder, training)
    detail = choose(shape, training, spec.hardware, machine, sequences)
    said = "the spec's max_steps" if training.max_steps else f"a guess of {GUESSED_STEPS} steps"
    return {
        "model": spec.name,
        "architecture": shape.architecture,
        "length_from": "the number of sequences given" if num_sequences else f"{said}; no corpus is packed",
        "machine": as_dict(machine),
        "plan": detail.to_dict(),
    }
