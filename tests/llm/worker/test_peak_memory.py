"""Several processes and an offloaded optimizer against what the planner says they take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pipelines.llm.launcher import Event, launch
from pipelines.llm.planner.choose import choose
from pipelines.llm.planner.machine import describe_machine
from pipelines.llm.planner.shape import read_shape
from pipelines.spec.hardware import Hardware
from tests.llm.tiny import VOCABULARY
from tests.llm.training import NUM_TRAIN, make_job, make_plan, write_packed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 million parameters: next to Python and its libraries, their optimizer shows."""
    folder = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("processes", "offload"),
    [
        (2, True),
        pytest.param(2, False, marks=pytest.mark.slow),
        pytest.param(1, True, marks=pytest.mark.slow),
        pytest.param(1, False, marks=pytest.mark.slow),
    ],
)
def test_the_forecast_of_memory_is_of_the_size_that_is_measured(
    processes: int, offload: bool, model: Path, tmp_path: Path
) -> None:
    job = make_job(
        tmp_path, model, write_packed(tmp_path / "packed"), make_plan(), sequences_per_step=4, micro_batch=1,
        zero_stage=2, offload=offload, max_steps=2, learning_rate=1e-4,
    )  # fmt: skip
    hardware = Hardware(processes=processes, threads=1, memory_bytes=16_000_000_000)
    machine = describe_machine(hardware, tmp_path)
    plan = choose(read_shape(model, job.settings), job.settings, hardware, machine, NUM_TRAIN, learnt_share=0.6)
    assert (plan.world_size, plan.offload) == (processes, offload)
    assert ("offload_optimizer" in plan.deepspeed["zero_optimization"]) is offload
    events = list[Event]()
    done = launch(job.model_copy(update={"plan": plan}), events.append, tmp_path)
    assert [event["step"] for event in events if event["event"] == "step"] == [1, 2]
    error = plan.forecast_measured_bytes - done["peak_bytes"]
    assert abs(error) < 0.2 * done["peak_bytes"]
    assert abs(error) < 0.5 * plan.memory.tensors
