"""Forecast the seconds of one step, and what its processes send each other.

A step multiplies matrices (FLOPs), moves what lies between the products through memory (bytes), updates the weights
(bytes) and talks (bytes). FLOPs follow Kaplan et al. 2020 (6 a parameter and token) and, for attention, Chowdhery et
al. 2022, "PaLM", appendix B (12 x layers x attention width x sequence a token).
"""

from __future__ import annotations

from pipelines.llm.planner.detail import TimeForecast
from pipelines.llm.planner.machine import HOST_BANDWIDTH, PCIE_BANDWIDTH, Machine
from pipelines.llm.planner.memory import Setting
from pipelines.llm.planner.shape import ModelShape

GPU_EFFICIENCY = 0.65  # of a GPU's peak that the products of a transformer reach, without what lies between them
CPU_EFFICIENCY = 0.6  # of the speed of the product that was measured
TIMES_MOVED = 5  # how often a kept byte crosses memory: made, read, read again, its gradient made and read
LOGIT_BYTES_MOVED = 40  # of one logit: cast, softmax, gradient, and each of them read again
UPDATE_BYTES = 50  # of one parameter: Adam reads and writes 3 fp32 numbers; gradients are cast, normed, clipped
FEW_TOKENS = {True: 256, False: 32}  # so many at once reach half the speed of the product
LAYER_SECONDS = {
    True: 3e-4,
    False: 1.5e-3,
}  # of one layer, forth and back, whatever its size: kernels' launches; Python
GATHER_SECONDS = {True: 1e-4, False: 1.5e-3}  # of one layer in ZeRO-3: hooks that fetch and release its weights
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
    peak = machine.bf16_flops if setting.bytes == 2 else machine.fp32_flops
    sequences = setting.micro_batch * setting.accumulation_steps
    tokens = sequences * setting.sequence_length
    unused = tokens * (1 - setting.learnt_share) * shape.vocabulary * shape.hidden  # logits that are not made
    flops = flops_per_step(shape, sequences, setting.sequence_length) - 6.0 * unused
    between = shape.layers * shape.kept_by_layer + shape.kept_outside
    if setting.activation_checkpointing:  # the layers' forward pass is done twice
        flops += tokens * 2.0 * shape.multiplied
        between *= 4 / 3
    at_once = setting.micro_batch * setting.sequence_length
    efficiency = (
        (GPU_EFFICIENCY if machine.on_gpu else CPU_EFFICIENCY) * at_once / (at_once + FEW_TOKENS[machine.on_gpu])
    )
    moved = tokens * (between * TIMES_MOVED + setting.learnt_share * shape.vocabulary * LOGIT_BYTES_MOVED)
    compute = flops / (peak * efficiency) + moved / machine.memory_bandwidth
    launches = setting.accumulation_steps * shape.layers * LAYER_SECONDS[machine.on_gpu]
    extra = (
        setting.accumulation_steps * shape.layers * GATHER_SECONDS[machine.on_gpu] if setting.zero_stage == 3 else 0.0
    )
    if machine.on_gpu:  # launches run ahead of the work; they only show where there is too little work
        extra += max(0.0, launches - compute)
    else:
        extra += launches
    talk = communication_bytes(shape, setting) / machine.link_bandwidth * (1 - HIDDEN_SHARE if machine.on_gpu else 1)
    return TimeForecast(
        compute=compute, communication=talk, optimizer=_update_seconds(shape, setting, machine), overhead=extra
    )


def _update_seconds(shape: ModelShape, setting: Setting, machine: Machine) -> float:
    share = shape.trainable / setting.world_size if setting.zero_stage else shape.trainable
    if not (setting.offload and machine.on_gpu):
        return share * UPDATE_BYTES / machine.memory_bandwidth
    across = share * setting.bytes * (setting.accumulation_steps + 1) / PCIE_BANDWIDTH
    return across + share * UPDATE_BYTES / HOST_BANDWIDTH
