"""Write and read the state of a training: weights, optimizer, and where the loop stood."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine

from pipelines.errors import TrainingError
from pipelines.llm import checkpoints
from pipelines.llm.checkpoints import Checkpoint, Progress
from pipelines.llm.job import TrainingJob

LOG = logging.getLogger(__name__)

_TAG = "state"
_UNIVERSAL = ".universal"


def save_state(engine: DeepSpeedEngine, job: TrainingJob, progress: Progress) -> Checkpoint | None:
    """Write a checkpoint together with all other processes; the first one completes it and returns it."""
    folder, first = Path(job.checkpoints), dist.get_rank() == 0
    aside = folder / f".writing-{checkpoints.name_of('step', progress.step)}"
    if first:
        checkpoints.prune(folder, job.settings.checkpoint_budget_bytes, _size_of_last(folder))
        checkpoints.begin(folder, "step", progress.step)
    dist.barrier()
    written = None
    try:
        engine.save_checkpoint(
            str(aside), tag=_TAG, save_latest=False, exclude_frozen_parameters=job.settings.adapter is not None
        )
        dist.barrier()
        if first:
            written = checkpoints.complete(
                aside, "step", job.identity, job.plan.world_size, job.plan.zero_stage, progress
            )
    except (OSError, RuntimeError) as error:  # torch says of a full disk what it says of any other file it cannot write
        shutil.rmtree(aside, ignore_errors=True)
        raise TrainingError(
            f"The checkpoint after step {progress.step} cannot be written to {folder}: {error}. "
            f"{shutil.disk_usage(folder).free} bytes are free there. Training has stopped; make room, and run again: "
            "it goes on from the last complete checkpoint."
        ) from error
    if first:
        checkpoints.prune(folder, job.settings.checkpoint_budget_bytes)
    dist.barrier()
    return written


def load_state(engine: DeepSpeedEngine, job: TrainingJob, checkpoint: Checkpoint, universal: Path | None) -> None:
    """Put a checkpoint's state into a fresh engine.

    Raises:
        TrainingError: If DeepSpeed loads anything but the step that was asked for.
    """
    folder = checkpoint.folder / _TAG if universal is None else universal
    path, _ = engine.load_checkpoint(
        str(folder.parent), tag=folder.name, load_module_strict=job.settings.adapter is None
    )
    if path is None or engine.global_steps != checkpoint.step:
        raise TrainingError(
            f"DeepSpeed loaded step {engine.global_steps} from {folder} instead of step {checkpoint.step}. Nothing was "
            "trained from it; it must not go on from anywhere else."
        )


def needs_conversion(checkpoint: Checkpoint, job: TrainingJob) -> bool:
    """Tell whether a checkpoint was written by another number of processes, or under another stage of ZeRO."""
    manifest = checkpoint.manifest
    return (manifest.world_size, manifest.zero_stage) != (job.plan.world_size, job.plan.zero_stage)


def convert(checkpoint: Checkpoint) -> Path:
    """Return the checkpoint in the universal form, which any number of processes loads. Raises `TrainingError`."""
    target = checkpoint.folder.parent / _UNIVERSAL / checkpoint.folder.name
    shutil.rmtree(target.parent, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "deepspeed.checkpoint.ds_to_universal",
        f"--input_folder={checkpoint.folder / _TAG}",
        f"--output_folder={target}",
        "--num_extract_workers=1",
        "--num_merge_workers=1",
        "--inject_missing_state",
    ]
    environment = {
        name: value for name, value in os.environ.items() if name not in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}
    }
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingError(
            f"Checkpoint {checkpoint.folder.name} cannot be converted for another number of processes:\n"
            f"{(done.stdout + done.stderr)[-2000:]}\nNothing was trained; it can still be gone on from as it was."
        )
    return target


def remove_conversions(folder: Path) -> None:
    """Remove converted checkpoints, which are of no use once they are loaded."""
    shutil.rmtree(folder / _UNIVERSAL, ignore_errors=True)


def _size_of_last(folder: Path) -> int:
    sizes = [sum(path.stat().st_size for path in found.rglob("*") if path.is_file()) for found in folder.glob("step-*")]
    return max(sizes, default=0)
