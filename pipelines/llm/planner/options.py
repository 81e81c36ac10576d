"""List every way to run a training that its spec allows, with what each should take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from pipelines.errors import UsageError
from pipelines.llm.planner.detail import Option
from pipelines.llm.planner.machine import Machine
from pipelines.llm.planner.memory import Setting, forecast_memory
from pipelines.llm.planner.settings import stage_that_runs
from pipelines.llm.planner.shape import ModelShape
from pipelines.llm.planner.timing import communication_bytes, forecast_time
from pipelines.spec.fine_tuning import FineTuning
from pipelines.spec.hardware import Hardware

PLANNED_STAGES: tuple[int, ...] = (1, 2, 3)
"""What the planner chooses from: checkpoints of these can be taken up by another number of processes."""

LARGEST_MICRO_BATCH = 64


def list_options(
    shape: ModelShape, training: FineTuning, hardware: Hardware, machine: Machine, learnt_share: float = 1.0
) -> list[Option]:
    """Return every option, with `refusal` where it does not fit into memory.

    `learnt_share` is that of the tokens that are learnt; 1 where it is not known.

    Raises:
        UsageError: If the sequences of a step cannot be shared out evenly, or two settings exclude each other.
    """
    share = sequences_per_process(training, hardware)
    sizes = [training.micro_batch] if training.micro_batch else _divisors(share)
    options = []
    for (stage, offload, again), micro_batch in product(_ways(training, machine), sizes):
        setting = Setting(
            zero_stage=stage,
            offload=offload,
            activation_checkpointing=again,
            micro_batch=micro_batch,
            accumulation_steps=share // micro_batch,
            world_size=hardware.world_size,
            sequence_length=training.sequence_length,
            bytes=2 if training.precision == "bf16" else 4,
            on_gpu=machine.on_gpu,
            learnt_share=learnt_share,
        )
        options.append(_option(shape, setting, machine, hardware.headroom))
    return options


def memory_limit(memory_bytes: int, headroom: float) -> int:
    """Return the bytes that a plan may fill."""
    return int(memory_bytes * (1 - headroom))


def sequences_per_process(training: FineTuning, hardware: Hardware) -> int:
    """Return how many sequences of one step each process has. Raises `UsageError` where that is no whole number."""
    world, wanted = hardware.world_size, training.sequences_per_step
    share = wanted // world
    if wanted % world:
        nearest = " or ".join(str(size) for size in (share * world, (share + 1) * world) if size)
        raise UsageError(
            f"training.sequences_per_step is {wanted}, which {world} processes cannot share evenly; allowed: a "
            f"multiple of {world}, such as {nearest}. Nothing was planned."
        )
    if training.micro_batch and share % training.micro_batch:
        raise UsageError(
            f"training.micro_batch is {training.micro_batch}, which does not divide the {share} sequences that each of "
            f"{world} processes has in a step; allowed: {', '.join(map(str, _divisors(share)))}. Nothing was planned."
        )
    return share


def _divisors(share: int) -> list[int]:
    return [size for size in range(1, min(share, LARGEST_MICRO_BATCH) + 1) if share % size == 0]


def _ways(training: FineTuning, machine: Machine) -> Iterator[tuple[int, bool, bool]]:
    if training.zero_stage == 0 and training.offload:
        raise UsageError("training.offload needs ZeRO: found zero_stage 0; allowed: 1, 2, 3. Nothing was planned.")
    stages = PLANNED_STAGES
    if training.zero_stage is not None:
        stages = (stage_that_runs(training.zero_stage, training.precision),)
    offloads = ((False, True) if machine.on_gpu else (False,)) if training.offload is None else (training.offload,)
    agains = (False, True) if training.activation_checkpointing is None else (training.activation_checkpointing,)
    return (
        (stage, offload, again) for stage in stages for offload in offloads if stage or not offload for again in agains
    )


def _option(shape: ModelShape, setting: Setting, machine: Machine, headroom: float) -> Option:
    memory = forecast_memory(shape, setting)
    allowed, host_allowed = memory_limit(machine.memory_bytes, headroom), memory_limit(machine.host_bytes, headroom)
    refusal = None
    if memory.device > allowed:
        refusal = f"needs {gigabytes(memory.device)} of memory, {gigabytes(allowed)} are left with headroom"
    elif memory.host > host_allowed:
        refusal = f"needs {gigabytes(memory.host)} of the node's memory a process, {gigabytes(host_allowed)} are left"
    return Option(
        zero_stage=setting.zero_stage,
        offload=setting.offload,
        activation_checkpointing=setting.activation_checkpointing,
        micro_batch=setting.micro_batch,
        accumulation_steps=setting.accumulation_steps,
        memory=memory,
        seconds=forecast_time(shape, setting, machine),
        communication_bytes_per_step=communication_bytes(shape, setting),
        refusal=refusal,
    )


def gigabytes(count: float) -> str:
    """Return a number of bytes for people, in GB of 10^9.

    >>> gigabytes(15_900_000_000)
    '15.9 GB'
    """
    return f"{count / 1e9:,.1f} GB"
