"""Forecast the most memory that one process holds, part by part: arithmetic over a model's shape and the settings.

What is kept through a step (weights, gradients, optimizer) follows Rajbhandari et al. 2020, "ZeRO: Memory Optimizations
Toward Training Trillion Parameter Models", table 1; what DeepSpeed holds besides, for a moment, follows its source
(0.19.8): runtime/zero/stage_1_and_2.py, runtime/zero/stage3.py, runtime/bf16_optimizer.py. Two moments compete for the
peak: the backward pass, with all activations, and the update, with the gradients in fp32. The larger one is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.llm.planner.detail import MemoryForecast
from pipelines.llm.planner.settings import bucket_elements, prefetch_elements
from pipelines.llm.planner.shape import ModelShape

FP32 = 4
ADAM_MOMENTS = 2 * FP32
GPU_BASELINE = 1_500_000_000  # CUDA's context, its libraries' kernels and workspaces, NCCL's buffers
CPU_BASELINE = 700_000_000  # Python with torch, transformers and deepspeed, before a model is loaded
LOGIT_BYTES = 14  # a logit at the worst moment: itself in bf16, and in fp32 itself, its log-softmax and its gradient
UNEVEN = 1.3
FRAGMENTS = 0.03  # of a GPU's tensors: what its caching allocator cannot use again


@dataclass(frozen=True)
class Setting:
    """What of a training decides its memory. Counts; `bytes` of one weight: 2 in bf16, 4 in fp32."""

    zero_stage: int
    offload: bool
    activation_checkpointing: bool
    micro_batch: int
    accumulation_steps: int
    world_size: int
    sequence_length: int
    bytes: int
    on_gpu: bool
    learnt_share: float  # of the tokens, those that are learnt: logits are made for them alone


def forecast_memory(shape: ModelShape, setting: Setting) -> MemoryForecast:
    """Return the bytes of one process at its fullest moment.

    Args:
        shape: The model.
        setting: How it is trained.
    """
    backward, update = _backward(shape, setting), _update(shape, setting)
    return backward if backward.device >= update.device else update


def activation_bytes(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of one micro batch's activations and loss, when the backward pass begins.

    A batch may have more learnt tokens than the mean: `UNEVEN` times as many are reckoned with.
    """
    tokens = setting.micro_batch * setting.sequence_length
    by_layer = shape.kept_by_layer + setting.sequence_length * setting.bytes  # the mask between documents
    layers = shape.layers * by_layer
    if setting.activation_checkpointing:  # each layer's input, and one layer's all while it is run again
        layers = shape.layers * shape.hidden * setting.bytes + by_layer
    learnt = min(1.0, setting.learnt_share * UNEVEN)
    return int(tokens * (layers + shape.kept_outside + learnt * shape.vocabulary * LOGIT_BYTES))


def _weights(shape: ModelShape, setting: Setting) -> int:
    if setting.zero_stage < 3:
        return shape.parameters * setting.bytes
    return (_share(shape.parameters - shape.small, setting) + shape.small) * setting.bytes


def _optimizer(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of fp32 master weights and Adam's two moments."""
    has_master = setting.bytes < FP32 or setting.zero_stage  # ZeRO copies fp32 weights too
    each = ADAM_MOMENTS + (FP32 if has_master else 0)
    return each * (_share(shape.trainable, setting) if setting.zero_stage else shape.trainable)


def _share(count: int, setting: Setting) -> int:
    return -(-count // setting.world_size)


def _gradients(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of the gradients once all are there: ZeRO-2 and ZeRO-3 keep a process's own share of them."""
    if setting.zero_stage < 2:
        return shape.trainable * setting.bytes
    if setting.offload and setting.on_gpu:  # they go on to the node's memory
        return 0
    rounds = 2 if setting.zero_stage == 2 and setting.accumulation_steps > 1 else 1  # those before, and those of now
    return rounds * _share(shape.trainable, setting) * setting.bytes


def _buffers(shape: ModelShape, setting: Setting) -> int:
    buckets = 2 if setting.on_gpu and setting.world_size > 1 else 1  # one is filled while the other travels
    held = bucket_elements(shape) * buckets * setting.bytes if setting.zero_stage else 0
    if setting.zero_stage == 3:
        live = max(shape.largest_parameter, 2 * shape.largest_layer) + prefetch_elements(shape)
        held += min(live, shape.parameters) * setting.bytes
    return held


def _backward(shape: ModelShape, setting: Setting) -> MemoryForecast:
    return _forecast(
        shape, setting, _gradients(shape, setting), activation_bytes(shape, setting), _buffers(shape, setting)
    )


def _update(shape: ModelShape, setting: Setting) -> MemoryForecast:
    share = _share(shape.trainable, setting) if setting.zero_stage else shape.trainable
    flat = share * (setting.bytes + FP32)  # the share's gradients in one piece, and in fp32
    if setting.offload and setting.on_gpu:
        flat = 0
    return _forecast(shape, setting, _gradients(shape, setting), 0, flat)


def _forecast(shape: ModelShape, setting: Setting, gradients: int, activations: int, buffers: int) -> MemoryForecast:
    weights, optimizer, host = _weights(shape, setting), _optimizer(shape, setting), 0
    if setting.offload:  # gradients go to the node's memory in fp32, where the update is made
        share = _share(shape.trainable, setting)
        host = optimizer + share * (FP32 + setting.bytes)
        optimizer = 0
        if not setting.on_gpu:
            buffers, host, optimizer = buffers + share * setting.bytes, 0, host - share * setting.bytes
    if setting.on_gpu:
        buffers += int(FRAGMENTS * (weights + gradients + optimizer + activations + buffers))
    baseline = GPU_BASELINE if setting.on_gpu else CPU_BASELINE
    return MemoryForecast(
        baseline=baseline,
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        buffers=buffers,
        host=host,
    )
