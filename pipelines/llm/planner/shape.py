"""Know a model by its config alone: how many parameters it has, and what its forward pass keeps for the backward pass.

The model is built on torch's `meta` device, where tensors have shapes but no memory, and run once there: so parameters
and kept bytes are those of the code that will train, for any architecture that transformers knows.
"""

from __future__ import annotations

import json
import logging
import warnings
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pipelines.errors import UsageError
from pipelines.spec.fine_tuning import FineTuning, Lora

LOG = logging.getLogger(__name__)

PROBE_TOKENS = 64  # any number does: what is kept grows with the tokens, but for a few bytes
SMALL_PARAMETER = 100_000  # elements; ZeRO-3 keeps smaller ones whole in every process
HEAP_BYTES = 32 * 1024**2  # glibc maps larger pieces on their own, and only these go back to the system (mallopt(3))
FALLBACK_BYTES = 34  # a layer keeps 34 bytes a token and hidden unit: Korthikanti et al. 2022, arXiv 2205.05198, eq. 2
_ATTENTION = "tandem_planned"


@dataclass(frozen=True)
class ModelShape:
    """What the planner needs of a model; `kept_*` are bytes a token that the forward pass keeps for the backward pass.

    `multiplied` parameters take part in a matrix product for a token (an input embedding of its own does not, nor do
    experts that a router leaves out).
    `largest_layer` and `largest_parameter` count parameters; `small` those that ZeRO-3 does not partition.
    """

    architecture: str
    parameters: int
    trainable: int
    multiplied: int
    layers: int
    hidden: int
    attention_width: int
    vocabulary: int
    largest_layer: int
    largest_parameter: int
    small: int
    kept_by_layer: float
    kept_outside: float
    tensors: int  # trainable ones, each with a gradient of its own
    in_heap: int  # trainable parameters in tensors that malloc does not map on their own
    frozen_in_heap: int  # the same of parameters that do not learn


def read_shape(folder: Path, training: FineTuning) -> ModelShape:
    """Return the shape of the model in a folder, as it will be trained. Raises `UsageError` for no known architecture.

    Args:
        folder: Holds config.json in Hugging Face's form; weights are not looked at.
        training: Says which weights learn, and in which precision.
    """
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder}/config.json describes no model that transformers knows: {error}.") from error
    return shape_of(config, training)


def shape_of(config: Any, training: FineTuning) -> ModelShape:
    """Return the shape of a model with this transformers config, as it will be trained."""
    dtype = torch.bfloat16 if training.precision == "bf16" else torch.float32
    return _shape(config.to_json_string(use_diff=False), config.model_type, training.adapter, dtype)


@lru_cache(maxsize=32)
def _shape(config_json: str, kind: str, adapter: Lora | None, dtype: torch.dtype) -> ModelShape:
    values = json.loads(config_json)
    config = AutoConfig.for_model(kind, **{key: value for key, value in values.items() if key != "model_type"})
    whole = _build(config, adapter, dtype)
    text = config.get_text_config()
    layers = int(text.num_hidden_layers)
    embedding = whole.get_input_embeddings().weight
    head = whole.get_output_embeddings()
    tied = head is not None and head.weight is embedding
    parameters = list(whole.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    heads = int(text.num_attention_heads)
    head_width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    by_layer, outside = _kept(config, adapter, dtype, layers)
    return ModelShape(
        architecture=type(whole.get_base_model() if adapter else whole).__name__,
        parameters=count,
        trainable=sum(parameter.numel() for parameter in trained),
        multiplied=(count if tied else count - embedding.numel()) - _idle_experts(whole, text),
        layers=layers,
        hidden=int(text.hidden_size),
        attention_width=heads * head_width,
        vocabulary=int(embedding.shape[0]),
        largest_layer=_largest_layer(whole),
        largest_parameter=max(parameter.numel() for parameter in parameters),
        small=sum(parameter.numel() for parameter in parameters if parameter.numel() < SMALL_PARAMETER),
        kept_by_layer=by_layer,
        kept_outside=outside,
        tensors=len(trained),
        in_heap=_in_heap(trained, dtype),
        frozen_in_heap=_in_heap(parameters, dtype) - _in_heap(trained, dtype),
    )


def _in_heap(parameters: list[Any], dtype: torch.dtype) -> int:
    return sum(one.numel() for one in parameters if one.numel() * dtype.itemsize <= HEAP_BYTES)


def _idle_experts(model: Any, text: Any) -> int:
    """Return how many parameters of experts a token does not meet; 0 for a model without."""
    chosen = getattr(text, "num_experts_per_tok", None)
    experts = getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None)
    if not chosen or not experts:
        return 0
    inside = sum(value.numel() for name, value in model.named_parameters() if ".experts." in name)
    return int(inside * (1 - chosen / experts))


def _build(config: Any, adapter: Lora | None, dtype: torch.dtype) -> Any:
    ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _attend)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation=_ATTENTION, dtype=dtype)
        if adapter is not None:
            from peft import LoraConfig, get_peft_model

            targets = adapter.target_modules if isinstance(adapter.target_modules, str) else [*adapter.target_modules]
            options = LoraConfig(
                r=adapter.rank,
                lora_alpha=adapter.alpha,
                lora_dropout=adapter.dropout,
                target_modules=targets,
                task_type="CAUSAL_LM",
            )
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # peft 0.21 asks transformers 5.23 by a name that is going
                    model = get_peft_model(model, options)
            except ValueError as error:
                raise UsageError(f"training.lora does not fit {type(model).__name__}: {error}.") from error
            model = model.to(dtype)  # as DeepSpeed does; peft makes adapters in fp32
    return model.train()


def _largest_layer(model: Any) -> int:
    sizes: list[int] = [
        sum(parameter.numel() for parameter in block.parameters())
        for module in model.modules()
        if isinstance(module, torch.nn.ModuleList)
        for block in module
    ]
    return max(sizes, default=sum(parameter.numel() for parameter in model.parameters()))


def _kept(config: Any, adapter: Lora | None, dtype: torch.dtype, layers: int) -> tuple[float, float]:
    """Return the bytes a token that one layer keeps, and all that is not in a layer, without the loss."""
    text = config.get_text_config()
    few = min(4, layers - 1) or layers
    try:
        whole, fewer = _kept_bytes(config, adapter, dtype, layers), _kept_bytes(config, adapter, dtype, few)
    except (
        NotImplementedError,
        RuntimeError,
        IndexError,
    ) as error:  # data-dependent code, as some experts' routers are
        LOG.info("%s cannot be run without data (%s): its activations are estimated.", config.model_type, error)
        return FALLBACK_BYTES * text.hidden_size * dtype.itemsize / 2, 4.0 * text.hidden_size * dtype.itemsize
    by_layer = (whole - fewer) / (layers - few) if layers > few else whole / layers
    return by_layer / PROBE_TOKENS, max(0.0, (whole - by_layer * layers) / PROBE_TOKENS)


def _kept_bytes(config: Any, adapter: Lora | None, dtype: torch.dtype, layers: int) -> int:
    cut = deepcopy(config)
    text = cut.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    model = _build(cut, adapter, dtype)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage  # held, so that no later one takes its number
        return tensor

    tokens = torch.zeros(1, PROBE_TOKENS, dtype=torch.long, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(input_ids=tokens, position_ids=tokens, use_cache=False)
    del out
    return sum(storage.nbytes() for storage in kept.values())


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    """Keeps what a flash attention kernel keeps: its inputs, its output, and one number a row."""

    @staticmethod
    def forward(context: Any, query: Any, key: Any, value: Any) -> Any:
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        context.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return out


def _attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> tuple[Any, None]:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:  # transformers repeats keys and values where there is a mask, and packed sequences have one
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return _Attention.apply(query, key, value).transpose(1, 2).contiguous(), None
