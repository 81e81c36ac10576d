from __future__ import annotations

import pytest

from pipelines.llm.planner.memory import activation_bytes, forecast_memory
from tests.llm.planner import known

N = 7_500_000_000


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.88)])
def test_what_a_step_keeps_is_the_table_of_the_zero_paper(stage: int, gigabytes: float) -> None:
    # Rajbhandari et al. 2020, figure 1: 7.5 billion parameters on 64 GPUs
    shape = known.dataclass_with(known.shape("7B"), parameters=N, trainable=N, small=0)
    memory = forecast_memory(shape, known.setting(zero_stage=stage, world_size=64, accumulation_steps=2))
    assert (memory.weights + memory.gradients + memory.optimizer) / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_without_zero_adam_takes_16_bytes_a_parameter() -> None:
    shape = known.shape("8B")
    memory = forecast_memory(shape, known.setting())
    assert memory.weights + memory.gradients + memory.optimizer == 16 * shape.parameters


def test_in_fp32_there_is_no_second_copy_of_the_weights_without_zero_and_one_with() -> None:
    shape = known.shape("135M", precision="fp32")
    plain, zero = (forecast_memory(shape, known.setting(bytes=4, zero_stage=stage)) for stage in (0, 1))
    assert plain.optimizer == 8 * shape.parameters
    assert zero.optimizer == 12 * shape.parameters


def test_adapters_alone_have_gradients_and_optimizer() -> None:
    shape = known.shape("8B", method="lora")
    memory = forecast_memory(shape, known.setting(zero_stage=2, accumulation_steps=2))
    assert memory.weights == 2 * shape.parameters
    assert memory.gradients + memory.optimizer == 14 * shape.trainable
    assert shape.trainable < 0.01 * shape.parameters


def test_offload_moves_the_optimizer_into_the_nodes_memory() -> None:
    shape = known.shape("8B")
    kept, moved = (forecast_memory(shape, known.setting(zero_stage=2, offload=offload)) for offload in (False, True))
    assert moved.optimizer == moved.gradients == 0
    assert moved.host >= 12 * shape.parameters
    assert moved.device < kept.device - 12 * shape.parameters
    assert kept.host == 0


def test_offload_without_a_gpu_frees_nothing() -> None:
    shape = known.shape("135M")
    for offload in (False, True):
        memory = forecast_memory(shape, known.setting(zero_stage=2, offload=offload, on_gpu=False))
        assert memory.optimizer >= 12 * shape.parameters
        assert memory.host == 0


def test_checkpointing_keeps_each_layers_input_and_one_layer() -> None:
    shape = known.shape("8B")
    again = activation_bytes(shape, known.setting(activation_checkpointing=True, learnt_share=0.0))
    inputs, mask = shape.layers * shape.hidden * 2, 2048 * 2
    assert again == pytest.approx(2048 * (inputs + shape.kept_by_layer + mask + shape.kept_outside), rel=1e-6)


def test_activations_grow_with_the_batch_and_logits_with_the_learnt_tokens() -> None:
    shape = known.shape("8B")
    one, four = (activation_bytes(shape, known.setting(micro_batch=size, on_gpu=False)) for size in (1, 4))
    assert four == pytest.approx(4 * one, rel=1e-6)
    none, half = (activation_bytes(shape, known.setting(learnt_share=share, on_gpu=False)) for share in (0.0, 0.5))
    assert none < half < one
    assert one - none >= 2 * 2048 * shape.vocabulary  # in bf16; their gradient takes their own place


def test_the_parts_sum_to_the_whole() -> None:
    memory = forecast_memory(known.shape("1.3B"), known.setting(zero_stage=3, world_size=4))
    parts = memory.to_dict()
    assert memory.device + memory.host == sum(parts.values())
    assert memory.tensors == memory.device - memory.baseline


def test_a_processor_keeps_what_its_heap_does_not_give_back() -> None:
    shape = known.shape("135M")
    small = forecast_memory(shape, known.setting(zero_stage=2, on_gpu=False, sequence_length=256, learnt_share=0.5))
    assert small.activations > 0.1 * known.GB  # the update comes after the backward pass, and its pieces are still held
    assert small.buffers == 6 * shape.parameters
    large = known.setting(zero_stage=2, on_gpu=False, sequence_length=256, micro_batch=64, learnt_share=0.5)
    assert forecast_memory(shape, large).activations == activation_bytes(shape, large)


def test_zero_3_leaves_holes_in_a_processors_heap_where_frozen_weights_were() -> None:
    shape = known.shape("135M", method="lora")
    two, three = (
        forecast_memory(shape, known.setting(zero_stage=stage, on_gpu=False, sequence_length=256)).device
        for stage in (2, 3)
    )
    assert three - two > 3 * (shape.parameters - 49_152 * 576)  # all but the embedding, which is mapped on its own
