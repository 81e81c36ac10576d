"""Forecast the most memory that one process holds, part by part: arithmetic over a model's shape and the settings.

What is kept through a step (weights, gradients, optimizer) follows Rajbhandari et al. 2020, "ZeRO: Memory Optimizations
Toward Training Trillion Parameter Models", table 1; what DeepSpeed holds besides, for a moment, follows its source
(0.19.8): runtime/zero/stage_1_and_2.py and runtime/zero/stage3.py. Three moments compete for the peak: the
backward pass as it begins, with all activations; as it ends, with all gradients; and the update, with the gradients in
fp32. The fullest is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipelines.llm.planner.detail import MemoryForecast
from pipelines.llm.planner.settings import bucket_elements, prefetch_elements
from pipelines.llm.planner.shape import HEAP_BYTES, ModelShape

FP32 = 4
ADAM_MOMENTS = 2 * FP32
GPU_BASELINE = 1_500_000_000  # CUDA's context, its libraries' kernels and workspaces, NCCL's buffers
CUDA_LIBRARIES = 360_000_000  # what a torch that was built with CUDA holds besides, where it finds no GPU
# Python with torch, transformers, peft and deepspeed, their threads and oneDNN's workspaces
CPU_BASELINE = 720_000_000 + (CUDA_LIBRARIES if torch.version.cuda else 0)
LOGITS_AT_ONCE = 100_000_000  # the trainer's loss makes so many in fp32 at once on a GPU, and next to none without
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
    moments = (_backward_begins(shape, setting), _backward_ends(shape, setting), _update(shape, setting))
    return max(moments, key=lambda memory: memory.device)


def activation_bytes(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of one micro batch's activations and loss, when the backward pass begins.

    A batch may have more learnt tokens than the mean: `UNEVEN` times as many are reckoned with.
    """
    return _layer_bytes(shape, setting) + _logit_bytes(shape, setting)


def _layer_bytes(shape: ModelShape, setting: Setting) -> int:
    by_layer = shape.kept_by_layer + setting.sequence_length * setting.bytes  # the mask between documents
    layers = shape.layers * by_layer
    if setting.activation_checkpointing:  # each layer's input, and one layer's all while it is run again
        layers = shape.layers * shape.hidden * setting.bytes + by_layer
    return int(_tokens(setting) * (layers + shape.kept_outside))


def _logit_bytes(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of the logits of learnt tokens, whose gradient takes their own place, and of a part in fp32."""
    logits = int(_tokens(setting) * min(1.0, setting.learnt_share * UNEVEN) * shape.vocabulary)
    return logits * setting.bytes + (2 * FP32 * min(logits, LOGITS_AT_ONCE) if setting.on_gpu else 0)


def _tokens(setting: Setting) -> int:
    return setting.micro_batch * setting.sequence_length


def _left_behind(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of activations that a processor's process still holds when they are used no more.

    glibc gives back only what it mapped on its own. A GPU's allocator uses all of it again.
    """
    if setting.on_gpu:
        return 0
    left = _holes(shape, setting)
    if _tokens(setting) * shape.hidden * FP32 <= HEAP_BYTES:
        left += _layer_bytes(shape, setting)
    if _tokens(setting) * setting.learnt_share * shape.vocabulary * setting.bytes <= HEAP_BYTES:
        left += _logit_bytes(shape, setting)
    return left


def _holes(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of the heap's holes where ZeRO-3 had fetched frozen weights, in each of two passes.

    The hole that a weight which learns leaves is filled by its gradient.
    """
    return 2 * shape.frozen_in_heap * setting.bytes if setting.zero_stage == 3 and not setting.on_gpu else 0


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
    return -(-count // setting.world_size) if setting.zero_stage else count


def _gradients(shape: ModelShape, setting: Setting, rounds: int = 1) -> int:
    """Return the bytes of so many micro batches' gradients: ZeRO-2 and 3 keep a process's own share of them."""
    if setting.zero_stage < 2:
        return shape.trainable * setting.bytes * min(rounds, 1)
    if setting.offload and setting.on_gpu:  # they go on to the node's memory
        return 0
    if setting.zero_stage == 3:  # one flat buffer from the start
        rounds = 1
    return rounds * _share(shape.trainable, setting) * setting.bytes


def _bucket(shape: ModelShape, setting: Setting) -> int:
    if not setting.zero_stage:
        return 0
    buckets = 2 if setting.on_gpu and setting.world_size > 1 else 1  # one is filled while the other travels
    return bucket_elements(shape, setting.zero_stage, setting.on_gpu) * buckets * setting.bytes


def _fetched(shape: ModelShape, setting: Setting) -> int:
    """Return the bytes of weights that ZeRO-3 has fetched from other processes; alone it has nobody to fetch from."""
    if setting.zero_stage < 3 or setting.world_size == 1:
        return 0
    live = max(shape.largest_parameter, 2 * shape.largest_layer) + prefetch_elements(shape)
    return min(live, shape.parameters) * setting.bytes


def _backward_begins(shape: ModelShape, setting: Setting) -> MemoryForecast:
    """All activations, and the gradients of the micro batches before."""
    before = _gradients(shape, setting, min(1, setting.accumulation_steps - 1))
    bucket = _bucket(shape, setting) if setting.zero_stage == 3 else 0
    held = bucket + _fetched(shape, setting) + _holes(shape, setting)
    return _forecast(shape, setting, before, activation_bytes(shape, setting), held)


def _backward_ends(shape: ModelShape, setting: Setting) -> MemoryForecast:
    """All gradients, those of the micro batches before and of this one, and the buffer that they went through."""
    gradients = _gradients(shape, setting, min(2, setting.accumulation_steps))
    held = _bucket(shape, setting) + _fetched(shape, setting)
    return _forecast(shape, setting, gradients, _left_behind(shape, setting), held)


def _update(shape: ModelShape, setting: Setting) -> MemoryForecast:
    """The gradients, once more in one piece, and in fp32."""
    share = _share(shape.trainable, setting)
    held = 0 if setting.offload and setting.on_gpu else share * (setting.bytes + FP32)
    if setting.zero_stage == 3:
        held += _bucket(shape, setting)
    if setting.zero_stage == 1 and not setting.on_gpu:  # each weight's own gradient, which the heap keeps
        held += shape.in_heap * setting.bytes
    return _forecast(shape, setting, _gradients(shape, setting), _left_behind(shape, setting), held)


def _forecast(shape: ModelShape, setting: Setting, gradients: int, activations: int, buffers: int) -> MemoryForecast:
    weights, optimizer, host = _weights(shape, setting), _optimizer(shape, setting), 0
    if setting.offload:  # gradients go to the node's memory in fp32, where the update is made
        share = _share(shape.trainable, setting)
        beside = share * (FP32 + setting.bytes)
        if setting.on_gpu:
            host, optimizer = optimizer + beside, 0
        else:
            buffers += beside
    if setting.on_gpu:
        buffers += int(FRAGMENTS * (weights + gradients + optimizer + activations + buffers))
    return MemoryForecast(
        baseline=GPU_BASELINE if setting.on_gpu else CPU_BASELINE,
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        buffers=buffers,
        host=host,
    )
