"""Which sequences this process trains on in each step, as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.llm import sequences as packed
from pipelines.llm.sequences import PackedSequences


@dataclass(frozen=True)
class Batch:
    """Sequences that go through the model at once; each tensor has shape (batch, L), int64."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    labels: torch.Tensor
    document_rows: tuple[int, ...]

    @property
    def num_labels(self) -> int:
        """How many tokens are learnt."""
        return int((self.labels != packed.IGNORED).sum())


def share_of(numbers: Sequence[int], rank: int, world_size: int) -> list[int]:
    """Return the part of a step's sequences that one process takes; all parts together are the whole.

    >>> share_of([5, 3, 8, 1], rank=1, world_size=2)
    [3, 1]
    """
    return list(numbers[rank::world_size])


def even_share(numbers: Sequence[int], rank: int, world_size: int) -> tuple[list[int], int]:
    """Return as many sequences for each process, and how many of them are its own part, which come first.

    Under ZeRO-3 a process that ran the model once more than the others would wait for them for ever.

    >>> even_share([5, 3, 8], rank=1, world_size=2)
    ([3, 5], 1)
    """
    own = share_of(numbers, rank, world_size)
    missing = -(-len(numbers) // world_size) - len(own)
    return own + list(numbers[:missing]), len(own)


def batches(data: PackedSequences, numbers: Sequence[int], size: int, device: torch.device) -> Iterator[Batch]:
    """Yield the sequences of these numbers, `size` at a time."""
    for start in range(0, len(numbers), size):
        found = [data[number] for number in numbers[start : start + size]]
        yield Batch(
            _stacked([one.input_ids for one in found], device),
            _stacked([one.position_ids for one in found], device),
            _stacked([one.labels for one in found], device),
            tuple(row for one in found for row in one.document_rows),
        )


def _stacked(rows: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).to(device)
