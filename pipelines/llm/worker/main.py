"""The life of one process of a training: load, go on from a checkpoint, train, and leave the tuned model."""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from transformers.utils.logging import disable_progress_bar

from pipelines.errors import DataError, TandemError, TrainingError
from pipelines.llm import checkpoints
from pipelines.llm.checkpoints import Checkpoint, Progress
from pipelines.llm.job import TrainingJob
from pipelines.llm.sequences import TRAIN, VALIDATION, PackedSequences
from pipelines.llm.worker.engine import (
    configuration,
    join_processes,
    local_device,
    partitions_weights,
    start_engine,
)
from pipelines.llm.worker.events import Events
from pipelines.llm.worker.lifeline import Lifeline
from pipelines.llm.worker.loop import Loop, first_loss
from pipelines.llm.worker.loss import AnswerLoss
from pipelines.llm.worker.losses import LossGuard
from pipelines.llm.worker.model import load_model
from pipelines.llm.worker.states import convert, load_state, needs_conversion, remove_conversions
from pipelines.llm.worker.weights import write_output

LOG = logging.getLogger(__name__)

DONE, FAILED, STOPPED = 0, 1, 3
"""What a process ends with; STOPPED after it was asked to end and has written a checkpoint."""


def main(arguments: Sequence[str]) -> int:
    """Run the job in the file that is named; every error of ours is told as an event before the process ends."""
    rank = int(os.environ["RANK"])
    events = Events(rank)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    disable_progress_bar()
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)  # DeepSpeed's calls
    lifeline = Lifeline()
    try:
        job = TrainingJob.model_validate_json(Path(arguments[0]).read_bytes())
        return _train(job, events, lifeline)
    except (TandemError, OSError, RuntimeError, MemoryError) as error:
        LOG.exception("the training ends")
        events.tell("error", kind=type(error).__name__, message=str(error))
        return FAILED


def _train(job: TrainingJob, events: Events, lifeline: Lifeline) -> int:
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if world_size != job.plan.world_size:
        raise TrainingError(
            f"{world_size} processes were started for a plan of {job.plan.world_size}. Nothing was trained."
        )
    on_gpu = job.plan.launch.on_gpu
    if job.plan.launch.threads is not None and not on_gpu:
        torch.set_num_threads(job.plan.launch.threads)
    _check_data(job)
    events.tell("phase", name="waiting until all processes are there")
    join_processes(on_gpu)
    checkpoint = _agree_on_checkpoint(job, rank)
    universal = _converted(job, checkpoint, rank)
    events.tell("phase", name="loading the model")
    config = configuration(job, from_universal=universal is not None)
    keeps_partitioning = partitions_weights(job, config)
    model = AnswerLoss(load_model(job))
    # ZeRO-3 has the weights in parts by now, and transformers cannot run it alone.
    plain = first_loss(model, job) if checkpoint is None and keeps_partitioning is None else None
    engine = start_engine(model, job, config)
    progress = Progress(step=0)
    if plain is not None:
        LossGuard(model.model.config.vocab_size).check_same(first_loss(engine, job), plain)
    if checkpoint is not None:
        load_state(engine, job, checkpoint, universal)
        progress = checkpoint.manifest.progress
        dist.barrier()
        if rank == 0:
            remove_conversions(Path(job.checkpoints))
    events.tell(
        "started",
        pid=os.getpid(),
        step=progress.step,
        resumed=checkpoint is not None,
        device=str(local_device(on_gpu)),
    )
    loop = Loop(engine, job, progress, events, lifeline)
    reached_end = loop.run()
    del keeps_partitioning
    if not reached_end:
        events.tell("stopped", step=loop.progress.step)
        dist.destroy_process_group()
        return STOPPED
    peak = _peak_bytes(on_gpu)
    del engine, model
    if rank == 0:
        events.tell("phase", name="saving the model")
        write_output(job, _best(job, loop.progress))
    dist.barrier()
    events.tell("done", peak_bytes=peak, **loop.progress.to_dict())
    dist.destroy_process_group()
    return DONE


def _check_data(job: TrainingJob) -> None:
    for name in (TRAIN, VALIDATION):
        if not len(PackedSequences(Path(job.packed) / name)):
            raise DataError(f"{job.packed}/{name} holds no sequence. Nothing was trained; give a larger corpus.")


def _agree_on_checkpoint(job: TrainingJob, rank: int) -> Checkpoint | None:
    """Have the first process look for a checkpoint, and the others take the same."""
    found: list[str | None] = [None]
    problem: list[str | None] = [None]
    if rank == 0:
        try:
            checkpoint = checkpoints.newest(Path(job.checkpoints), "step", job.identity)
            found = [None if checkpoint is None else str(checkpoint.folder)]
        except TandemError as error:
            problem = [str(error)]
    dist.broadcast_object_list(problem)
    if problem[0] is not None:
        raise TrainingError(problem[0])
    dist.broadcast_object_list(found)
    return None if found[0] is None else checkpoints.open_checkpoint(Path(found[0]))


def _converted(job: TrainingJob, checkpoint: Checkpoint | None, rank: int) -> Path | None:
    if checkpoint is None or not needs_conversion(checkpoint, job):
        return None
    told: list[str | None] = [None]
    if rank == 0:
        told = [str(convert(checkpoint))]
    dist.broadcast_object_list(told)
    return Path(str(told[0]))


def _best(job: TrainingJob, progress: Progress) -> Path:
    assert progress.best_step is not None, "the last step is always looked at"
    return Path(job.checkpoints) / checkpoints.name_of("best", progress.best_step)


def _peak_bytes(on_gpu: bool) -> int:
    if on_gpu:
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # getrusage would tell the size of the process that started this one, where that was larger
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
