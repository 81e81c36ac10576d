"""Forecast the seconds of one step, and what its processes send each other.

A step multiplies matrices (FLOPs), moves what lies between the products through memory (bytes), updates the weights
(bytes) and talks (bytes). FLOPs follow Kaplan et al. 2020 (6 a parameter and token) and, for attention, Chowdhery et
al. 2022, "PaLM", appendix B (12 x layers x attention width x sequence a token).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.llm.planner.detail import TimeForecast
from pipelines.llm.planner.machine import HOST_BANDWIDTH, PCIE_BANDWIDTH, Machine
from pipelines.llm.planner.memory import Setting
from pipelines.llm.planner.shape import ModelShape


@dataclass(frozen=True)
class Habits:
    """How far real code stays behind a machine's figures.

    `products` and `attention` are shares: of the peak, or on a processor of the products that were measured (attention
    reckons in fp32 there). `times_moved` says how often a kept byte crosses memory: made, read, read again, its
    gradient made and read. `logit_bytes` cross memory for each logit (made, softmax, gradient), `gradient_bytes` for
    each gradient of a micro batch (copied into a buffer, reduced, added), `update_bytes` for each parameter once a step
    (Adam reads and writes three fp32 numbers; gradients are cast, normed, clipped). `few_tokens` at once reach half the
    speed of the product. Seconds a layer, whatever its size: `layer` for its kernels or Python, `gather` for ZeRO-3's
    hooks that fetch and release its weights.
    """

    products: float
    attention: float
    times_moved: float
    logit_bytes: float
    gradient_bytes: float
    update_bytes: float
    few_tokens: int
    layer: float
    gather: float


GPU = Habits(0.65, 0.45, 5, 24, 12, 50, 256, 3e-4, 1e-4)
PROCESSOR = Habits(0.45, 0.36, 14, 50, 12, 24, 16, 2e-3, 3e-2)
"""Of an Intel Sapphire Rapids core: the proportions by torch's profiler, the level by steps of whole trainings on a
machine that does nothing else, with a heap that is kept (2.0 s in full and 1.5 s with adapters, 75 million parameters,
1,024 tokens a step). ZeRO-3 took 0.8 s a step more than ZeRO-2 with adapters and 1.2 s in full, for 16 layers fetched
twice: hooks, not bytes."""
HIDDEN_SHARE = 0.5  # of communication that a GPU does while it computes


def flops_per_step(shape: ModelShape, sequences: int, sequence_length: int) -> float:
    """Return the FLOPs of a model's step over all processes, without any that are done twice: for its utilisation."""
    tokens = sequences * sequence_length
    frozen = shape.multiplied - min(shape.trainable, shape.multiplied)
    attention = 12.0 * shape.layers * shape.attention_width * sequence_length
    return tokens * (6.0 * (shape.multiplied - frozen) + 4.0 * frozen + attention)


def communication_bytes(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes that one process sends in a step, by rings.

    DeepSpeed's ZeRO-1 and 2 reduce gradients by all-reduce (twice the bytes), and gather the weights after the update.
    """
    ring = (setting.world_size - 1) / setting.world_size
    trained, all_weights = shape.trainable * setting.bytes, shape.parameters * setting.bytes
    rounds = setting.accumulation_steps
    sent = {
        0: 2 * trained,
        1: 3 * trained,
        2: (2 * rounds + 1) * trained,
        3: rounds * (2 * all_weights + trained),
    }[setting.zero_stage]
    return int(sent * ring)


def forecast_time(shape: ModelShape, setting: Setting, machine: Machine) -> TimeForecast:
    """Return the seconds of one step."""
    habits, rounds = GPU if machine.on_gpu else PROCESSOR, setting.accumulation_steps
    compute = rounds * _micro_batch_seconds(shape, setting, machine, habits)
    launches = rounds * shape.layers * habits.layer
    if machine.on_gpu:  # launches run ahead of the work; they only show where there is too little work
        launches = max(0.0, launches - compute)
    gathers = rounds * shape.layers * habits.gather if setting.zero_stage == 3 else 0.0
    talk = communication_bytes(shape, setting) / machine.link_bandwidth * (1 - HIDDEN_SHARE if machine.on_gpu else 1)
    return TimeForecast(
        compute=compute,
        communication=talk,
        optimizer=_update_seconds(shape, setting, machine, habits),
        overhead=launches + gathers,
    )


def _micro_batch_seconds(shape: ModelShape, setting: Setting, machine: Machine, habits: Habits) -> float:
    tokens = setting.micro_batch * setting.sequence_length
    attention = 12.0 * tokens * shape.layers * shape.attention_width * setting.sequence_length
    products = flops_per_step(shape, setting.micro_batch, setting.sequence_length) - attention
    products -= 6.0 * tokens * (1 - setting.learnt_share) * shape.vocabulary * shape.hidden  # logits that are not made
    between = tokens * (shape.layers * shape.kept_by_layer + shape.kept_outside)
    if setting.activation_checkpointing:  # the layers' forward pass is done twice
        products += tokens * 2.0 * shape.multiplied
        attention, between = attention * 4 / 3, between * 4 / 3
    fast = machine.bf16_flops if setting.bytes == 2 else machine.fp32_flops
    for_attention = fast if machine.on_gpu else machine.fp32_flops
    moved = between * habits.times_moved + shape.trainable * habits.gradient_bytes
    moved += tokens * setting.learnt_share * shape.vocabulary * habits.logit_bytes
    return (
        products / (fast * habits.products) * (tokens + habits.few_tokens) / tokens
        + attention / (for_attention * habits.attention)
        + moved / machine.memory_bandwidth
    )


def _update_seconds(shape: ModelShape, setting: Setting, machine: Machine, habits: Habits) -> float:
    share = shape.trainable / setting.world_size if setting.zero_stage else shape.trainable
    if not (setting.offload and machine.on_gpu):
        return share * habits.update_bytes / machine.memory_bandwidth
    across = share * setting.bytes * (setting.accumulation_steps + 1) / PCIE_BANDWIDTH
    return across + share * habits.update_bytes / HOST_BANDWIDTH
