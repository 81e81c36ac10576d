from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from pipelines.llm.planner.processes import for_processes
from pipelines.llm.planner.settings import (
    CACHED_BUCKET,
    LARGEST_BUCKET,
    bucket_elements,
    deepspeed_settings,
)
from tests.llm.planner import known


def settings(
    stage: int, *, offload: bool = False, on_gpu: bool = True, precision: str = "bf16", world_size: int = 8
) -> dict[str, Any]:
    return deepspeed_settings(
        known.shape("8B"), zero_stage=stage, offload=offload, micro_batch=2, accumulation_steps=4,
        world_size=world_size, clip_norm=0.5, precision=precision, on_gpu=on_gpu,
    )  # fmt: skip


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_batch_and_the_arithmetic_are_the_plans(stage: int, precision: str) -> None:
    made = settings(stage, precision=precision)
    sizes = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size", "gradient_clipping")
    assert [made[name] for name in sizes] == [2, 4, 64, 0.5]
    assert made["bf16"]["enabled"] is (precision == "bf16")
    assert made["zero_optimization"]["stage"] == stage
    assert "optimizer" not in made  # the trainer brings its own


def test_offload_puts_the_optimizer_on_the_processor() -> None:
    assert settings(2, offload=True)["zero_optimization"]["offload_optimizer"] == {"device": "cpu", "pin_memory": True}
    assert settings(2, offload=True, on_gpu=False)["zero_optimization"]["offload_optimizer"]["pin_memory"] is False
    assert "offload_optimizer" not in settings(2)["zero_optimization"]


def test_a_buffer_is_no_larger_than_what_goes_through_it() -> None:
    assert bucket_elements(known.shape("8B"), 2, on_gpu=True) == LARGEST_BUCKET
    assert bucket_elements(known.shape("135M"), 2, on_gpu=True) == 134_515_008
    adapters = known.shape("135M", method="lora")
    assert bucket_elements(adapters, 3, on_gpu=False) == adapters.trainable


def test_on_a_processor_gradients_are_reduced_in_its_cache_and_one_process_scatters_none() -> None:
    alone = settings(2, on_gpu=False, world_size=1)["zero_optimization"]
    assert (alone["reduce_bucket_size"], alone["reduce_scatter"]) == (CACHED_BUCKET, False)
    assert settings(2, on_gpu=False)["zero_optimization"]["reduce_scatter"] is True
    assert settings(3, on_gpu=False)["zero_optimization"]["reduce_bucket_size"] == LARGEST_BUCKET


def test_settings_for_other_processes_are_those_that_would_have_been_made_for_them() -> None:
    for stage, on_gpu in ((0, False), (1, False), (2, False), (2, True), (3, True)):
        made = settings(stage, on_gpu=on_gpu, world_size=8)
        for world_size in (1, 2):
            again = for_processes(made, 2, 4, world_size, on_gpu)
            assert again == settings(stage, on_gpu=on_gpu, world_size=world_size)


def test_gradients_are_summed_in_fp32_and_nobody_else_reports_or_chooses_an_optimizer() -> None:
    for stage, offload in ((0, False), (1, False), (2, True), (3, True)):
        made = settings(stage, offload=offload)
        assert made["data_types"] == {"grad_accum_dtype": "fp32"}
        assert made["bf16"]["check_grad_overflow"] is False
        assert made["zero_force_ds_cpu_optimizer"] is False
        assert made["steps_per_print"] > 1_000_000


def test_deepspeed_itself_takes_every_setting() -> None:
    """DeepSpeed refuses words in its ZeRO section that it does not know; it is asked in a process of its own."""
    made = [settings(stage, offload=offload) for stage in (1, 2, 3) for offload in (False, True)]
    code = (
        "import json, sys\n"
        "from deepspeed.runtime.zero.config import DeepSpeedZeroConfig\n"
        "from deepspeed.runtime.precision_config import DeepSpeedBF16Config\n"
        "for one in json.load(sys.stdin):\n"
        "    zero = DeepSpeedZeroConfig(**one['zero_optimization'])\n"
        "    print(int(zero.stage), zero.reduce_bucket_size, zero.param_persistence_threshold,"
        " DeepSpeedBF16Config(**one['bf16']).enabled)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(made), capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines() if line[0].isdigit()]
    assert [line[0] for line in lines] == ["1", "1", "2", "2", "3", "3"]
    assert {(line[1], line[2], line[3]) for line in lines} == {(str(LARGEST_BUCKET), "100000", "True")}
