from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from pipelines.llm.planner.settings import LARGEST_BUCKET, bucket_elements, deepspeed_settings
from tests.llm.planner import known


def settings(stage: int, *, offload: bool = False, on_gpu: bool = True, precision: str = "bf16") -> dict[str, Any]:
    return deepspeed_settings(
        known.shape("8B"), zero_stage=stage, offload=offload, micro_batch=2, accumulation_steps=4, world_size=8,
        clip_norm=0.5, precision=precision, on_gpu=on_gpu,
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
    assert bucket_elements(known.shape("8B")) == LARGEST_BUCKET
    assert bucket_elements(known.shape("135M")) == 134_515_008
    adapters = known.shape("135M", method="lora")
    assert bucket_elements(adapters) == adapters.trainable


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
