"""Look at a training from outside: its loss on validation text, and on general text that it is not taught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from deepspeed.runtime.engine import DeepSpeedEngine

from pipelines.llm.frontier import Point
from pipelines.llm.job import TrainingJob
from pipelines.llm.sequences import GENERAL, IGNORED, VALIDATION, PackedSequences
from pipelines.llm.worker.batches import batches, even_share
from pipelines.llm.worker.events import Events

_FEWEST_VALIDATED = 16  # sequences of a look at the validation loss, where there are as many


class Looks:
    """The same sequences looked at each time, by all processes together."""

    def __init__(self, engine: DeepSpeedEngine, job: TrainingJob, events: Events) -> None:
        self._engine, self._job, self._events = engine, job, events
        self._validation = PackedSequences(Path(job.packed) / VALIDATION)
        general = Path(job.packed) / GENERAL
        self._general = PackedSequences(general) if general.is_file() else None
        self._chosen = self._spread(len(self._validation))

    def look(self) -> Point:
        """Return the losses of the weights as they are."""
        self._engine.eval()
        with torch.no_grad():
            loss = self._mean(self._validation, self._chosen)
            general = None if self._general is None else self._mean(self._general, range(len(self._general)))
        self._engine.train()
        return Point(loss, general)

    def _mean(self, data: PackedSequences, numbers: Sequence[int]) -> float:
        summed, count = 0.0, 0
        own, num_counted = even_share(numbers, dist.get_rank(), dist.get_world_size())
        for batch in batches(data, own, self._job.plan.micro_batch, self._engine.device):
            batch.labels[max(0, num_counted) :] = IGNORED
            num_counted -= len(batch.labels)
            summed += float(self._engine(batch.input_ids, batch.position_ids, batch.labels))
            count += batch.num_labels
            self._events.tell("progress")
        return sum_of_processes(summed, self._engine.device) / max(sum_of_processes(count, self._engine.device), 1)

    def _spread(self, count: int) -> list[int]:
        """Return sequences spread over the validation file: looks must not cost more than the steps between them."""
        wanted = min(count, max(2 * self._job.sequences_per_step, _FEWEST_VALIDATED))
        return [position * count // wanted for position in range(wanted)]


def sum_of_processes(value: float, device: torch.device) -> float:
    """Return the sum of a number over all processes; all of them must call it."""
    if dist.get_world_size() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return float(tensor)
