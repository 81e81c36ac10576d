"""Say why a training cannot be run as its spec asks, and what would fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipelines.llm.planner.detail import Option
from pipelines.llm.planner.machine import Machine
from pipelines.llm.planner.options import gigabytes, list_options
from pipelines.llm.planner.shape import ModelShape
from pipelines.spec.fine_tuning import FineTuning
from pipelines.spec.hardware import Hardware

MOST_PROCESSES = 4096
LORA_SHARE = 0.01  # of a model's parameters that adapters of rank 16 on all linear layers have, more or less


def refusal_message(
    shape: ModelShape, training: FineTuning, hardware: Hardware, machine: Machine, options: list[Option]
) -> str:
    """Return what is missing where no option fits, and every one change that would help."""
    least = min(options, key=lambda option: (option.memory.device, option.memory.host))
    what = f"{shape.architecture} with {shape.parameters / 1e9:,.2f} billion parameters, {training.method} fine-tuning"
    would = [*_changes(shape, training, hardware, machine)]
    device = "GPU" if machine.on_gpu else "process"
    return (
        f"{what}, sequences of {training.sequence_length} tokens: none of {len(options)} ways fits into "
        f"{gigabytes(machine.memory_bytes)} a {device} (headroom {hardware.headroom:.0%}). The least is {least.name}: "
        f"it {least.refusal}. What would fit: {'; '.join(would) or 'nothing that was tried'}. Nothing was planned."
    )


def _changes(shape: ModelShape, training: FineTuning, hardware: Hardware, machine: Machine) -> Iterator[str]:
    freed = {"zero_stage": None, "offload": None, "activation_checkpointing": None, "micro_batch": None}
    asked = {name: None for name in freed if getattr(training, name) is not None}
    for name in asked:
        changed = training.model_copy(update={name: None})
        if found := _fits(shape, changed, hardware, machine):
            value = getattr(found, name)
            yield f"training.{name}: {str(value).lower()} in place of {str(getattr(training, name)).lower()}"
    if len(asked) > 1 and (found := _fits(shape, training.model_copy(update=asked), hardware, machine)):
        yield f"without {', '.join(f'training.{name}' for name in asked)}: {found.name}"
    if training.method == "full":
        adapters = replace(shape, trainable=int(LORA_SHARE * shape.parameters))
        if found := _fits(adapters, training.model_copy(update={"method": "lora"}), hardware, machine):
            yield f"training.method: lora (about {gigabytes(found.memory.device)}, {found.name})"
    if machine.on_gpu and (count := _processes_that_fit(shape, training, hardware, machine)):
        yield f"{count} GPUs in place of {hardware.world_size}, each with as much memory"
    shorter = training.sequence_length // 2
    if shorter >= 16 and _fits(shape, training.model_copy(update={"sequence_length": shorter}), hardware, machine):
        yield f"training.sequence_length: {shorter}"
    options = list_options(shape, training, hardware, replace(machine, memory_bytes=2**60))
    if within := [option for option in options if option.refusal is None]:
        least = min(within, key=lambda option: option.memory.device)
        each = "GPU" if machine.on_gpu else "process"
        yield f"{gigabytes(least.memory.device / (1 - hardware.headroom))} of memory a {each} ({least.name})"


def _processes_that_fit(shape: ModelShape, training: FineTuning, hardware: Hardware, machine: Machine) -> int | None:
    """Return the least power of two times today's number of GPUs that the training fits on, with whole nodes."""
    gpus, nodes = hardware.gpus, hardware.nodes
    while gpus * nodes < MOST_PROCESSES:
        gpus, nodes = (gpus * 2, nodes) if gpus < 8 else (gpus, nodes * 2)
        larger = hardware.model_copy(update={"gpus": gpus, "nodes": nodes})
        host = machine.host_bytes * hardware.processes_per_node // larger.processes_per_node
        sequences = -(-training.sequences_per_step // larger.world_size) * larger.world_size
        changed = training.model_copy(update={"sequences_per_step": sequences, "micro_batch": None})
        if _fits(shape, changed, larger, replace(machine, host_bytes=host)):
            return larger.world_size
    return None


def _fits(shape: ModelShape, training: FineTuning, hardware: Hardware, machine: Machine) -> Option | None:
    fitting = [option for option in list_options(shape, training, hardware, machine) if option.refusal is None]
    return min(fitting, key=lambda option: option.seconds.step, default=None)
