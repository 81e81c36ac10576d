"""Say why a training cannot be run as its spec asks, and what would fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.llm.planner.detail import Option
from pipelines.llm.planner.machine import Machine
from pipelines.llm.planner.options import gigabytes, list_options
from pipelines.llm.planner.shape import ModelShape
from pipelines.spec.fine_tuning import FineTuning
from pipelines.spec.hardware import Hardware

MOST_PROCESSES = 4096
LORA_SHARE = 0.01  # of a model's parameters that adapters of rank 16 on all linear layers have, more or less
ENDLESS = 2**60  # bytes
PLANNED = ("zero_stage", "offload", "activation_checkpointing", "micro_batch")
"""What the planner chooses where the spec does not."""


@dataclass(frozen=True)
class Question:
    """What was asked of the planner."""

    shape: ModelShape
    training: FineTuning
    hardware: Hardware
    machine: Machine
    learnt_share: float

    @property
    def options(self) -> list[Option]:
        """Every option that the question allows."""
        return list_options(self.shape, self.training, self.hardware, self.machine, self.learnt_share)

    @property
    def fastest(self) -> Option | None:
        """The fastest option that fits, or None."""
        fitting = [option for option in self.options if option.refusal is None]
        return min(fitting, key=lambda option: option.seconds.step, default=None)

    def with_training(self, **changes: object) -> Question:
        """Return the same question with other settings."""
        return replace(self, training=self.training.model_copy(update=changes))


def refusal_message(question: Question) -> str:
    """Return what is missing where no option fits, and every change that alone would help."""
    shape, training, machine, hardware = question.shape, question.training, question.machine, question.hardware
    options = question.options
    least = min(options, key=lambda option: (option.memory.device, option.memory.host))
    would = [*_without_what_was_asked(question), *_with_less(question), *_with_more(question)]
    device = "GPU" if machine.on_gpu else "process"
    return (
        f"{shape.architecture} with {shape.parameters / 1e9:,.2f} billion parameters, {training.method} fine-tuning on "
        f"sequences of {training.sequence_length} tokens: none of {len(options)} ways fits into "
        f"{gigabytes(machine.memory_bytes)} a {device} (headroom {hardware.headroom:.0%}). The least, {least.name}, "
        f"{least.refusal}. What would fit: {'; or '.join(would)}. Nothing was planned."
    )


def _without_what_was_asked(question: Question) -> Iterator[str]:
    training = question.training
    asked = [name for name in PLANNED if getattr(training, name) is not None]
    for name in asked:
        if found := question.with_training(**{name: None}).fastest:
            now, then = str(getattr(training, name)).lower(), str(getattr(found, name)).lower()
            yield f"training.{name} {then} in place of {now}"
    if len(asked) > 1 and (found := question.with_training(**dict.fromkeys(asked)).fastest):
        yield f"without training.{', '.join(asked)}: {found.name}"


def _with_less(question: Question) -> Iterator[str]:
    if question.training.method == "full":
        adapters = replace(question.shape, trainable=int(LORA_SHARE * question.shape.parameters))
        if found := replace(question.with_training(method="lora"), shape=adapters).fastest:
            yield f"training.method lora (about {gigabytes(found.memory.device)}, {found.name})"
    shorter = question.training.sequence_length // 2
    if shorter >= 16 and question.with_training(sequence_length=shorter).fastest:
        yield f"training.sequence_length {shorter}"


def _with_more(question: Question) -> Iterator[str]:
    machine, hardware = question.machine, question.hardware
    device = "GPU" if machine.on_gpu else "process"
    if machine.on_gpu and (count := _gpus_that_fit(question)):
        yield f"{count} GPUs in place of {hardware.world_size}, each with as much memory"
    if machine.on_gpu and (found := replace(question, machine=replace(machine, host_bytes=ENDLESS)).fastest):
        needed = found.memory.host / (1 - hardware.headroom) * hardware.processes_per_node
        yield f"{gigabytes(needed)} of memory in each node ({found.name})"
    endless = replace(question, machine=replace(machine, memory_bytes=ENDLESS))
    least = min((one for one in endless.options if one.refusal is None), key=lambda one: one.memory.device)
    yield f"{gigabytes(least.memory.device / (1 - hardware.headroom))} of memory a {device} ({least.name})"


def _gpus_that_fit(question: Question) -> int | None:
    """Return how many GPUs the training fits on: more of one node, up to 8, then more nodes, doubled each time."""
    hardware = question.hardware
    gpus, nodes = hardware.gpus, hardware.nodes
    while gpus * nodes < MOST_PROCESSES:
        gpus, nodes = (gpus * 2, nodes) if gpus < 8 else (gpus, nodes * 2)
        larger = hardware.model_copy(update={"gpus": gpus, "nodes": nodes})
        host = question.machine.host_bytes * hardware.processes_per_node // larger.processes_per_node
        sequences = -(-question.training.sequences_per_step // larger.world_size) * larger.world_size
        asked = replace(
            question.with_training(sequences_per_step=sequences, micro_batch=None),
            hardware=larger,
            machine=replace(question.machine, host_bytes=host),
        )
        if asked.fastest:
            return larger.world_size
    return None
