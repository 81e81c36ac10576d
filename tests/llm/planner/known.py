"""Models and machines of public record, for the planner's arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transformers import LlamaConfig

from pipelines.llm.planner.machine import Machine
from pipelines.llm.planner.memory import Setting
from pipelines.llm.planner.shape import ModelShape, shape_of
from pipelines.spec.fine_tuning import FineTuning

GB = 10**9
SIZES: dict[str, dict[str, Any]] = {
    "135M": {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49_152, "tie_word_embeddings": True,
    },
    "1.3B": {
        "hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 16, "vocab_size": 32_000,
    },
    "7B": {
        "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32_000,
    },
    "8B": {
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128_256,
    },
    "70B": {
        "hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "vocab_size": 128_256,
    },
}  # fmt: skip
"""As SmolLM2-135M, a Llama of 1.3 billion, Llama 2 7B, Llama 3 8B and 70B are."""


def shape(size: str, **settings: Any) -> ModelShape:
    """Return the shape of a known model, fine-tuned with these settings."""
    return shape_of(LlamaConfig(**SIZES[size]), FineTuning(**settings))


def h100(host_gigabytes: float = 200) -> Machine:
    """Return an H100 with its share of a node's memory."""
    return Machine("H100", True, 80 * 1024**3, int(host_gigabytes * GB), 9.89e14, 4.9e14, 3.35e12, 450e9)


def processor(gigabytes: float) -> Machine:
    """Return a processor with so much memory."""
    return Machine("x86_64", False, int(gigabytes * GB), 0, 5e11, 1.5e11, 1e10, 1.5e9)


def setting(**changes: Any) -> Setting:
    """Return ZeRO-0 on one GPU, one sequence of 2,048 tokens at once, with changes."""
    return Setting(
        **{
            "zero_stage": 0, "offload": False, "activation_checkpointing": False, "micro_batch": 1,
            "accumulation_steps": 1, "world_size": 1, "sequence_length": 2048, "bytes": 2, "on_gpu": True,
            "learnt_share": 1.0, **changes,
        }
    )  # fmt: skip


def dataclass_with(original: ModelShape, **changes: Any) -> ModelShape:
    """Return a shape with other numbers."""
    return replace(original, **changes)
