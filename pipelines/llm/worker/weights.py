"""Save the weights of a training: the best ones so far while it runs, and the tuned model in the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine

from pipelines.llm import checkpoints
from pipelines.llm.checkpoints import Progress
from pipelines.llm.job import TrainingJob
from pipelines.llm.worker.loss import AnswerLoss
from pipelines.llm.worker.model import dtype_of, merge

_ADAPTER = "adapter"
_COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE",
)


def save_best(engine: DeepSpeedEngine, job: TrainingJob, progress: Progress) -> None:
    """Keep the weights as they are now, as the best so far; of adapters only these."""
    weights = _gathered(engine, job)
    if dist.get_rank() == 0:
        aside = checkpoints.begin(Path(job.checkpoints), "best", progress.step)
        _inner(engine).save_pretrained(aside, state_dict=weights)
        if job.settings.adapter is not None:
            _tidy_adapter(aside, Path(job.pretrained).name)
        checkpoints.complete(aside, "best", job.identity, job.plan.world_size, job.plan.zero_stage, progress)
    dist.barrier()


def write_output(job: TrainingJob, best: Path) -> None:
    """Make the tuned model's folder out of the best weights: whole or not at all."""
    source, output = Path(job.pretrained), Path(job.output)
    aside = output.with_name(f".writing-{output.name}")
    shutil.rmtree(aside, ignore_errors=True)
    if job.settings.adapter is None:
        shutil.copytree(best, aside, ignore=shutil.ignore_patterns(checkpoints.MANIFEST))
    else:
        shutil.copytree(best, aside / _ADAPTER, ignore=shutil.ignore_patterns(checkpoints.MANIFEST))
        merge(source, aside / _ADAPTER, dtype_of(job.settings)).save_pretrained(aside)
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, aside / name)
    shutil.rmtree(output, ignore_errors=True)
    aside.rename(output)


def _gathered(engine: DeepSpeedEngine, job: TrainingJob) -> dict[str, torch.Tensor]:
    """Return the weights by their names in transformers, whole in the first process; all processes must call it."""
    if job.plan.zero_stage == 3:
        found: dict[str, Any] = engine._zero3_consolidated_16bit_state_dict() or {}
    else:
        found = engine.module.state_dict()
    return {name.removeprefix("model."): tensor for name, tensor in found.items()}


def _tidy_adapter(folder: Path, base: str) -> None:
    """Take out of peft's files what differs from machine to machine: a path, and the order of a set."""
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _inner(engine: DeepSpeedEngine) -> Any:
    module = engine.module
    assert isinstance(module, AnswerLoss)
    return module.model
