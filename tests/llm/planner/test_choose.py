from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.errors import UsageError
from pipelines.llm.planner.choose import choose, num_steps
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.llm.planner.machine import Machine
from pipelines.spec.fine_tuning import FineTuning
from pipelines.spec.hardware import Hardware
from tests.llm.planner import known

LONG: dict[str, Any] = {"sequence_length": 2048, "sequences_per_step": 64}


def plan(size: str, machine: Machine, hardware: dict[str, Any] | None = None, **training: Any) -> TrainingPlanDetail:
    settings = FineTuning(**{**LONG, **training})
    shape = known.shape(size, **{**LONG, **training})
    return choose(shape, settings, Hardware(**(hardware or {"gpus": 1})), machine, num_sequences=1000)


def test_1_3_billion_in_full_fit_one_gpu_of_80_gigabytes() -> None:
    detail = plan("1.3B", known.h100())
    assert detail.memory.device <= detail.memory_limit_bytes
    assert not detail.offload
    assert not detail.activation_checkpointing  # it costs a third more and is not needed


def test_8_billion_in_full_need_offload_on_one_gpu_and_none_on_eight() -> None:
    assert plan("8B", known.h100()).offload
    eight = plan("8B", known.h100(), {"gpus": 8})
    assert not eight.offload
    assert eight.world_size == 8


def test_8_billion_with_adapters_fit_one_gpu() -> None:
    detail = plan("8B", known.h100(), method="lora")
    assert not detail.offload
    assert detail.memory.weights > 16 * known.GB


def test_70_billion_in_full_do_not_fit_eight_gpus_and_the_refusal_says_what_would() -> None:
    with pytest.raises(UsageError) as refused:
        plan("70B", known.h100(host_gigabytes=100), {"gpus": 8})
    message = str(refused.value)
    assert "70.55 billion parameters, full fine-tuning" in message
    assert "training.method lora" in message
    assert "16 GPUs in place of 8" in message
    assert "of memory in each node" in message
    assert "Nothing was planned" in message


def test_what_the_refusal_says_would_fit_fits() -> None:
    nodes = {"gpus": 8, "nodes": 2, "rendezvous": "first:29500"}
    assert plan("70B", known.h100(host_gigabytes=100), nodes).zero_stage == 3
    assert plan("70B", known.h100(host_gigabytes=100), {"gpus": 8}, method="lora").zero_stage == 3


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ({"offload": False}, "training.offload true in place of false"),
        ({"offload": True, "zero_stage": 1, "micro_batch": 64}, "training.micro_batch"),
        ({"offload": False, "zero_stage": 1}, "without training.zero_stage, offload: ZeRO-"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_the_one_that_would(asked: dict[str, Any], advice: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan("8B", known.h100(), **asked)
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"zero_stage": 3},
        {"zero_stage": 0, "precision": "fp32"},
        {"offload": True},
        {"activation_checkpointing": True},
        {"micro_batch": 2},
        {"zero_stage": 2, "offload": True, "activation_checkpointing": True, "micro_batch": 1},
    ],
)
def test_what_the_spec_asks_for_is_kept(asked: dict[str, Any]) -> None:
    detail = plan("1.3B", known.h100(), **asked)
    planned = {name: value for name, value in asked.items() if name != "precision"}
    assert {name: getattr(detail, name) for name in planned} == planned
    assert {option.zero_stage for option in detail.alternatives} <= {asked.get("zero_stage", 1), 1, 2, 3}


def test_bf16_without_zero_is_planned_as_the_stage_that_runs() -> None:
    detail = plan("1.3B", known.h100(), zero_stage=0)
    assert detail.zero_stage == detail.deepspeed["zero_optimization"]["stage"] == 1


def test_nothing_that_fits_is_faster_than_the_plan() -> None:
    for size, gpus in (("1.3B", 1), ("8B", 8)):
        detail = plan(size, known.h100(), {"gpus": gpus})
        fitting = [option.seconds.step for option in detail.alternatives if option.refusal is None]
        assert detail.forecast_step_seconds <= 1.02 * min(fitting)


def test_every_option_that_is_refused_says_why() -> None:
    detail = plan("8B", known.h100(), {"gpus": 2})
    refused = [option for option in detail.alternatives if option.memory.device > detail.memory_limit_bytes]
    assert refused
    assert all("GB of memory" in str(option.refusal) for option in refused)


def test_more_headroom_leaves_more_free() -> None:
    much = plan("1.3B", known.h100(), {"gpus": 1, "headroom": 0.6})
    assert much.memory.device <= 0.4 * 80 * 1024**3
    assert much.memory.device < plan("1.3B", known.h100()).memory.device


def test_the_sequences_of_a_step_are_shared_out_evenly() -> None:
    detail = plan("1.3B", known.h100(), {"gpus": 4})
    assert detail.micro_batch * detail.accumulation_steps * detail.world_size == 64
    with pytest.raises(
        UsageError, match="6, which 4 processes cannot share evenly; allowed: a multiple of 4, such as 4 or 8"
    ):
        plan("1.3B", known.h100(), {"gpus": 4}, sequences_per_step=6)
    with pytest.raises(UsageError, match="micro_batch is 3, which does not divide the 64 sequences"):
        plan("1.3B", known.h100(), micro_batch=3)


def test_offload_without_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="offload needs ZeRO: found zero_stage 0; allowed: 1, 2, 3"):
        plan("1.3B", known.h100(), zero_stage=0, offload=True)


def test_a_processor_too_small_is_refused_with_the_memory_that_would_do() -> None:
    with pytest.raises(UsageError) as refused:
        plan("1.3B", known.processor(8), {})
    assert "GB of memory a process (ZeRO-" in str(refused.value)
    assert "GPUs" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "sequences", "steps"),
    [
        ({"sequences_per_step": 8}, 100, 13),
        ({"sequences_per_step": 8, "epochs": 2.0}, 100, 25),
        ({"sequences_per_step": 8, "epochs": 0.01}, 100, 1),
        ({"sequences_per_step": 8, "epochs": 3.0, "max_steps": 20}, 100, 20),
        ({"sequences_per_step": 8, "max_steps": 20}, 100, 13),
        ({"sequences_per_step": 10, "epochs": 0.3}, 100, 3),
    ],
)
def test_a_training_has_the_steps_that_its_epochs_take(settings: dict[str, Any], sequences: int, steps: int) -> None:
    assert num_steps(FineTuning(**settings), sequences) == steps


def test_cost_is_the_time_by_the_price() -> None:
    detail = plan("1.3B", known.h100(), {"gpus": 1, "price_per_hour": 3.0})
    assert detail.num_steps == 16
    assert detail.forecast_seconds == pytest.approx(16 * detail.forecast_step_seconds)
    assert detail.cost == pytest.approx(3.0 * detail.forecast_seconds / 3600)


def test_the_launch_says_how_the_nodes_meet() -> None:
    launch = plan("8B", known.h100(), {"gpus": 8, "nodes": 2, "rendezvous": "first:29500"}).launch
    assert (launch.nodes, launch.processes_per_node, launch.rendezvous, launch.on_gpu) == (2, 8, "first:29500", True)
    assert launch.torchrun == [
        "--nnodes=2",
        "--nproc-per-node=8",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=first:29500",
    ]
    assert plan("8B", known.h100(), {"gpus": 8}).launch.torchrun[-1] == "--standalone"


def test_a_plan_is_the_same_again_and_survives_json() -> None:
    detail = plan("1.3B", known.h100())
    assert plan("1.3B", known.h100()) == detail
    assert TrainingPlanDetail.from_dict(json.loads(detail.to_bytes())) == detail
