"""The training loop: steps, looks at what was learnt and forgotten, checkpoints, and reasons to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine

from pipelines.llm.checkpoints import Progress
from pipelines.llm.frontier import Frontier, Point
from pipelines.llm.job import TrainingJob
from pipelines.llm.order import sequences_of_step
from pipelines.llm.rates import rate_at
from pipelines.llm.sequences import TRAIN, VALIDATION, PackedSequences
from pipelines.llm.worker.batches import Batch, batches, share_of
from pipelines.llm.worker.events import Events
from pipelines.llm.worker.lifeline import Lifeline
from pipelines.llm.worker.looks import Looks, sum_of_processes
from pipelines.llm.worker.losses import LossGuard
from pipelines.llm.worker.states import save_state
from pipelines.llm.worker.weights import save_best


def first_loss(model: Any, job: TrainingJob) -> float:
    """Return a model's loss on the first validation sequence, in nats per answer token, with nothing left out."""
    data = PackedSequences(Path(job.packed) / VALIDATION)
    model.eval()
    with torch.no_grad():
        (batch,) = batches(data, [0], 1, next(model.parameters()).device)
        loss = float(model(batch.input_ids, batch.position_ids, batch.labels)) / max(1, batch.num_labels)
    model.train()
    return loss


class Loop:
    """One process's part in a training, from one step to another."""

    def __init__(
        self, engine: DeepSpeedEngine, job: TrainingJob, progress: Progress, events: Events, lifeline: Lifeline
    ) -> None:
        self._engine, self._job, self._events, self._lifeline = engine, job, events, lifeline
        self._train = PackedSequences(Path(job.packed) / TRAIN)
        self._looks = Looks(engine, job, events)
        self._rank = dist.get_rank()
        self._guard = LossGuard(engine.module.model.config.vocab_size)
        self._started = time.monotonic() - progress.seconds
        self._first_step, self._loop_started = progress.step, time.monotonic()
        self.progress = progress

    def run(self) -> bool:
        """Train to the end or until asked to stop; return whether the end was reached. Raises `TrainingDiverged`."""
        if self.progress.base_loss is None:
            self._look()
        while not self._is_done():
            self._step()
            step = self.progress.step
            is_last = step == self._job.plan.num_steps
            if is_last or step % self._job.settings.evaluate_every == 0:
                self._look()
            stopping = self._any_process_is_asked_to_stop()
            if not is_last and (stopping or step % self._job.settings.checkpoint_every == 0):
                self._checkpoint()
            if stopping and not is_last:
                return False
        return True

    def _is_done(self) -> bool:
        patience = self._job.settings.early_stop
        tired = patience is not None and self.progress.bad_looks >= patience
        return tired or self.progress.step >= self._job.plan.num_steps

    def _step(self) -> None:
        started = time.monotonic()
        job, step = self._job, self.progress.step + 1
        numbers = sequences_of_step(step, job.sequences_per_step, len(self._train), job.settings.seed)
        num_labels = sum(self._train.num_labels(number) for number in numbers)
        rate = rate_at(
            step, job.plan.num_steps, job.plan.warmup_steps, job.settings.learning_rate, job.settings.schedule
        )
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(job.settings.seed * 1_000_003 + step * 1009 + self._rank)  # dropout, the same after a resume
        summed = self._accumulate(step, share_of(numbers, self._rank, job.plan.world_size), num_labels)
        loss = sum_of_processes(summed, self._engine.device) / max(num_labels, 1)
        norm = float(self._engine.get_global_grad_norm() or 0.0)
        self._guard.check(step, loss, norm, self._rows_of(numbers))
        seconds = time.monotonic() - started
        tokens = job.sequences_per_step * len(self._train[numbers[0]].input_ids)
        self.progress = self.progress.model_copy(
            update={
                "step": step,
                "seconds": time.monotonic() - self._started,
                "tokens": self.progress.tokens + tokens,
            }
        )
        done = step - self._first_step
        self._events.tell(
            "step",
            step=step,
            num_steps=job.plan.num_steps,
            loss=loss,
            rate=rate,
            grad_norm=norm,
            tokens=self.progress.tokens,
            seconds=seconds,
            tokens_per_second=tokens / seconds,
            seconds_left=(time.monotonic() - self._loop_started) / done * (job.plan.num_steps - step),
        )

    def _accumulate(self, step: int, numbers: Sequence[int], num_labels: int) -> float:
        """Run forward and backward over this process's share, update the weights, and return the summed loss."""
        engine, job = self._engine, self._job
        # DeepSpeed takes the mean over micro-batches and processes; each token is to count the same.
        scale = job.plan.accumulation_steps * job.plan.world_size / max(num_labels, 1)
        summed = 0.0
        for batch in batches(self._train, numbers, job.plan.micro_batch, engine.device):
            loss = engine(batch.input_ids, batch.position_ids, batch.labels)
            summed += self._finite(step, float(loss.detach()), batch)
            engine.backward(loss * scale)
            engine.step()
            self._events.tell("progress")
        return summed

    def _finite(self, step: int, loss: float, batch: Batch) -> float:
        if not math.isfinite(loss):
            self._events.tell("not_finite", step=step, document_rows=sorted(set(batch.document_rows)))
        return loss

    def _look(self) -> None:
        """Measure the losses on validation and general text; keep the weights if they are the best so far."""
        started = time.monotonic()
        point, step, before = self._looks.look(), self.progress.step, self.progress
        if point.general is not None:
            self._guard.check_look(step, point.general, "general")
        is_best = False
        found: dict[str, float | None] = {"base_loss": point.loss, "base_general_loss": point.general}
        if step == 0:  # the pretrained model itself is no candidate
            self._guard.check_start(point.loss)
        else:
            self._guard.check_look(step, point.loss)
            best = None if before.best_loss is None else Point(before.best_loss, before.best_general_loss)
            frontier = Frontier(before.base_general_loss, self._job.settings.forgetting_margin)
            is_best = frontier.is_better(point, best)
            better = {"best_loss": point.loss, "best_general_loss": point.general, "best_step": step, "bad_looks": 0}
            found = better if is_best else {"bad_looks": before.bad_looks + 1}
        self.progress = before.model_copy(update=found)
        if is_best:
            save_best(self._engine, self._job, self.progress)
        self._events.tell(
            "validation",
            step=step,
            loss=point.loss,
            general_loss=point.general,
            is_best=is_best,
            seconds=time.monotonic() - started,
        )

    def _checkpoint(self) -> None:
        started = time.monotonic()
        self._events.tell("saving", step=self.progress.step)
        written = save_state(self._engine, self._job, self.progress)
        self._events.tell(
            "checkpoint",
            step=self.progress.step,
            folder=None if written is None else str(written.folder),
            size_bytes=None if written is None else written.manifest.size_bytes,
            seconds=time.monotonic() - started,
        )

    def _rows_of(self, numbers: Sequence[int]) -> list[int]:
        return sorted({row for number in numbers for row in self._train[number].document_rows})

    def _any_process_is_asked_to_stop(self) -> bool:
        return sum_of_processes(float(self._lifeline.is_cut), self._engine.device) > 0
