"""Choose how a training is run: the fastest way that fits, or a refusal that says what would fit."""

from __future__ import annotations

import math

from pipelines.errors import UsageError
from pipelines.llm.planner.detail import Launch, Option, TrainingPlanDetail
from pipelines.llm.planner.machine import Machine
from pipelines.llm.planner.options import list_options, memory_limit
from pipelines.llm.planner.refusals import Question, refusal_message
from pipelines.llm.planner.settings import deepspeed_settings
from pipelines.llm.planner.shape import ModelShape
from pipelines.llm.planner.timing import flops_per_step
from pipelines.spec.fine_tuning import FineTuning
from pipelines.spec.hardware import Hardware

AS_FAST = 1.02  # options within this of the fastest count as equals: without offload, the one that takes least memory


def choose(
    shape: ModelShape,
    training: FineTuning,
    hardware: Hardware,
    machine: Machine,
    num_sequences: int,
    learnt_share: float = 1.0,
) -> TrainingPlanDetail:
    """Return the plan of a training; the same input gives the same plan.

    Args:
        shape: The pretrained model's, as it will be trained.
        training: The spec's settings; what it leaves out is chosen.
        hardware: The spec's machines.
        machine: What one process of them has.
        num_sequences: Packed sequences of the training side.
        learnt_share: Of their tokens, those that are learnt; 1 where it is not known.

    Raises:
        UsageError: If nothing that the spec allows fits; says what would.
    """
    options = list_options(shape, training, hardware, machine, learnt_share)
    fitting = [option for option in options if option.refusal is None]
    if not fitting:
        raise UsageError(refusal_message(Question(shape, training, hardware, machine, learnt_share)))
    chosen = _best(fitting)
    steps = num_steps(training, num_sequences)
    seconds = chosen.seconds.step * steps
    return TrainingPlanDetail(
        zero_stage=chosen.zero_stage,
        offload=chosen.offload,
        activation_checkpointing=chosen.activation_checkpointing,
        micro_batch=chosen.micro_batch,
        accumulation_steps=chosen.accumulation_steps,
        world_size=hardware.world_size,
        num_steps=steps,
        warmup_steps=min(steps, round(training.warmup_share * steps)),
        deepspeed=deepspeed_settings(
            shape,
            zero_stage=chosen.zero_stage,
            offload=chosen.offload,
            micro_batch=chosen.micro_batch,
            accumulation_steps=chosen.accumulation_steps,
            world_size=hardware.world_size,
            clip_norm=training.clip_norm,
            precision=training.precision,
            on_gpu=machine.on_gpu,
        ),
        launch=Launch(
            nodes=hardware.nodes,
            processes_per_node=hardware.processes_per_node,
            rendezvous=hardware.rendezvous,
            threads=hardware.threads,
            on_gpu=machine.on_gpu,
        ),
        num_parameters=shape.parameters,
        num_trainable=shape.trainable,
        memory=chosen.memory,
        forecast_step_seconds=chosen.seconds.step,
        seconds=chosen.seconds,
        communication_bytes_per_step=chosen.communication_bytes_per_step,
        forecast_seconds=seconds,
        cost=hardware.price_per_hour * seconds / 3600,
        memory_limit_bytes=memory_limit(machine.memory_bytes, hardware.headroom),
        flops_per_step=flops_per_step(shape, training.sequences_per_step, training.sequence_length),
        alternatives=tuple(option for option in options if option != chosen),
    )


def num_steps(training: FineTuning, num_sequences: int) -> int:
    """Return the updates of a training: enough to see the training side `epochs` times, at least one.

    The last step is filled up with sequences of a further pass.

    >>> num_steps(FineTuning(sequences_per_step=8, epochs=1.5), 100)
    19
    """
    needed = max(1, math.ceil(num_sequences * training.epochs / training.sequences_per_step - 1e-9))
    return min(needed, training.max_steps or needed)


def _best(fitting: list[Option]) -> Option:
    fastest = min(option.seconds.step for option in fitting)
    equals = [option for option in fitting if option.seconds.step <= fastest * AS_FAST]
    return min(equals, key=lambda option: (option.offload, option.memory.device, option.seconds.step))
