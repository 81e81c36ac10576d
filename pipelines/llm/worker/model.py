"""Load the pretrained model, and put adapters on it where only those learn."""

from __future__ import annotations

import gc
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from pipelines.llm.job import TrainingJob
from pipelines.spec.fine_tuning import FineTuning, Lora


def load_model(job: TrainingJob) -> nn.Module:
    """Return the model in the arithmetic of the training, its adapters in place, checkpointing switched on if planned.

    Adapters start the same everywhere: the seed is the training's.
    """
    model = load_pretrained(Path(job.pretrained), dtype_of(job.settings))
    model.config.use_cache = False
    if job.settings.adapter is not None:
        torch.manual_seed(job.settings.seed)
        model = get_peft_model(model, lora_config(job.settings.adapter), autocast_adapter_dtype=False)
    if job.plan.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.train()


def load_pretrained(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Return a model from a folder, and nothing from anywhere else."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
    )


def dtype_of(settings: FineTuning) -> torch.dtype:
    """Return the type that forward and backward reckon in."""
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32


def lora_config(lora: Lora) -> LoraConfig:
    """Return peft's words for the spec's adapters."""
    targets = lora.target_modules
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def merge(pretrained: Path, adapter: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Return the pretrained model with an adapter's product added to its weights, in fp32 and then rounded once."""
    model = PeftModel.from_pretrained(load_pretrained(pretrained, torch.float32), adapter).merge_and_unload()
    gc.collect()
    return model.to(dtype)
