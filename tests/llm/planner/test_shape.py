from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, MixtralConfig

from pipelines.errors import UsageError
from pipelines.llm.planner.shape import read_shape, shape_of
from pipelines.spec.fine_tuning import FineTuning, Lora
from tests.llm.planner import known
from tests.llm.tiny import write_tiny_model


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("135M", 134_515_008), ("7B", 6_738_415_616), ("8B", 8_030_261_248), ("70B", 70_553_706_496)],
)
def test_known_models_have_the_parameters_that_their_makers_count(size: str, parameters: int) -> None:
    assert known.shape(size).parameters == parameters


def test_a_tied_embedding_is_multiplied_and_one_of_its_own_is_not() -> None:
    tied, apart = known.shape("135M"), known.shape("8B")
    assert tied.multiplied == tied.parameters
    assert apart.multiplied == apart.parameters - 128_256 * 4096


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # peft 0.21 asks transformers 5.23 by an old name
def test_adapters_are_counted_as_peft_counts_them(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path)
    shape = read_shape(folder, FineTuning(method="lora", lora=Lora(rank=4, target_modules=("q_proj", "v_proj"))))
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder),
        LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
        autocast_adapter_dtype=False,
    )
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert (shape.trainable, shape.tensors) == (sum(one.numel() for one in learnt), len(learnt))
    assert shape.parameters == sum(one.numel() for one in model.parameters())


def test_adapters_for_layers_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path)
    with pytest.raises(UsageError, match="no_such_layer"):
        read_shape(folder, FineTuning(method="lora", lora=Lora(target_modules=("no_such_layer",))))


def test_kept_bytes_are_those_of_a_real_forward_pass(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path)
    shape = read_shape(folder, FineTuning())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").train()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    tokens, positions = torch.arange(128).reshape(1, 128), torch.arange(64).repeat(2).reshape(1, 128)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=tokens, position_ids=positions, use_cache=False)
    measured = sum(storage.nbytes() for storage in kept.values()) / 128
    mask = 128 * 2  # bytes a token and layer: two documents are kept apart
    assert 2 * (shape.kept_by_layer + mask) + shape.kept_outside == pytest.approx(measured, rel=0.05)


def test_a_mixture_multiplies_only_the_experts_that_a_token_meets() -> None:
    config = MixtralConfig(
        num_hidden_layers=2, hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=512, num_local_experts=8, num_experts_per_tok=2,
    )  # fmt: skip
    shape = shape_of(config, FineTuning())
    experts = 2 * 8 * 3 * 64 * 128
    assert shape.multiplied == shape.parameters - 512 * 64 - experts * 6 // 8


def test_another_form_than_llamas_is_known_too() -> None:
    shape = shape_of(GPT2Config(), FineTuning())
    assert (shape.architecture, shape.parameters, shape.layers) == ("GPT2LMHeadModel", 124_439_808, 12)


def test_fp32_keeps_about_twice_the_bytes() -> None:
    half, whole = known.shape("135M"), known.shape("135M", precision="fp32")
    assert 1.7 < whole.kept_by_layer / half.kept_by_layer < 2.0


@pytest.mark.parametrize("config", [{"model_type": "no_such_model"}, {}])
def test_a_config_that_describes_no_known_model_is_refused(config: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="describes no model that transformers knows"):
        read_shape(tmp_path, FineTuning())


def test_planning_leaves_the_config_as_it_was() -> None:
    config = AutoConfig.for_model("llama", **known.SIZES["135M"])
    before = config.to_dict()
    shape_of(config, FineTuning())
    assert config.to_dict() == before
