from __future__ import annotations

import pytest

from pipelines.llm.planner.timing import communication_bytes, flops_per_step, forecast_time
from tests.llm.planner import known


def test_flops_are_six_a_parameter_and_token_and_attention() -> None:
    shape = known.shape("8B")
    expected = 4 * 2048 * (6 * shape.multiplied + 12 * 32 * 4096 * 2048)
    assert flops_per_step(shape, 4, 2048) == pytest.approx(expected)


def test_frozen_weights_take_four() -> None:
    full, lora = known.shape("8B"), known.shape("8B", method="lora")
    assert flops_per_step(lora, 1, 64) / flops_per_step(full, 1, 64) == pytest.approx(4 / 6, rel=0.02)


@pytest.mark.parametrize(
    ("stage", "rounds", "sent"),
    [(0, 1, 2), (1, 1, 3), (1, 4, 3), (2, 1, 3), (2, 4, 9), (3, 1, 3), (3, 4, 12)],
)
def test_what_is_sent_in_units_of_the_weights(stage: int, rounds: int, sent: int) -> None:
    shape = known.shape("8B")
    setting = known.setting(zero_stage=stage, accumulation_steps=rounds, world_size=8)
    assert communication_bytes(shape, setting) == pytest.approx(sent * 2 * shape.parameters * 7 / 8)


def test_one_process_sends_nothing() -> None:
    assert communication_bytes(known.shape("135M"), known.setting(zero_stage=3)) == 0


def test_adapters_send_little_but_zero_3_fetches_the_frozen_weights_too() -> None:
    shape = known.shape("8B", method="lora")
    two, three = (communication_bytes(shape, known.setting(zero_stage=stage, world_size=8)) for stage in (2, 3))
    assert two < 0.02 * three


def test_a_fine_tuning_of_1_3_billion_on_an_h100_runs_at_a_believable_share_of_its_peak() -> None:
    # llm-foundry reports 41.8 % on 8 H100 at this size and sequence (FSDP)
    shape, setting = known.shape("1.3B"), known.setting(zero_stage=1, micro_batch=4, accumulation_steps=8)
    seconds = forecast_time(shape, setting, known.h100())
    share = flops_per_step(shape, 32, 2048) / seconds.step / known.h100().bf16_flops
    assert 0.35 < share < 0.60


def test_checkpointing_costs_a_second_forward_pass() -> None:
    shape = known.shape("8B")
    plain, again = (
        forecast_time(shape, known.setting(zero_stage=1, activation_checkpointing=asked), known.h100())
        for asked in (False, True)
    )
    assert 1.2 < again.compute / plain.compute < 1.4


def test_offload_takes_longer_to_update() -> None:
    shape = known.shape("8B")
    on, off = (
        forecast_time(shape, known.setting(zero_stage=2, offload=asked), known.h100()) for asked in (False, True)
    )
    assert off.optimizer > 10 * on.optimizer


def test_a_slower_link_costs_time() -> None:
    from dataclasses import replace

    shape, setting = known.shape("8B"), known.setting(zero_stage=3, world_size=16)
    fast = forecast_time(shape, setting, known.h100())
    slow = forecast_time(shape, setting, replace(known.h100(), link_bandwidth=1e10))
    assert slow.communication == pytest.approx(45 * fast.communication)
    assert slow.compute == fast.compute
