"""Which rows a configuration learns from and which it is judged on, fold by fold.

Folds follow from the rows' targets (or times) and the seed alone, so that every worker cuts the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError

Array = NDArray[Any]

FEW_ROWS = 8_000  # below this a fold more costs little and steadies the scores
NUM_FOLDS_FEW_ROWS = 5
NUM_FOLDS = 3
NEVER_JUDGED = -1


@dataclass(frozen=True)
class Folds:
    """How rows are cut.

    `fold_of`: the fold that judges each row, shape (n,), -1 for rows that none judges. With `by_time`, fold 0 is judged
    on the latest rows and learns from all before them, fold 1 on the rows before those, and so on.
    """

    fold_of: NDArray[np.int64]
    num_folds: int
    by_time: bool
    note: str = ""

    def judged(self, fold: int) -> Array:
        """Return the places of the rows that the fold is judged on, ascending."""
        return np.flatnonzero(self.fold_of == fold)

    def learnt(self, fold: int) -> Array:
        """Return the places of the rows that the fold learns from, ascending."""
        if self.by_time:
            return np.flatnonzero((self.fold_of > fold) | (self.fold_of == NEVER_JUDGED))
        return np.flatnonzero(self.fold_of != fold)


def default_num_folds(num_rows: int) -> int:
    """Return 5 folds for few rows and 3 for many."""
    return NUM_FOLDS_FEW_ROWS if num_rows < FEW_ROWS else NUM_FOLDS


def shuffled_folds(target: Array, num_classes: int, seed: int, num_folds: int | None = None) -> Folds:
    """Cut rows at random, so that every fold has about the same share of each class or the same spread of values.

    Fewer folds are made where the smallest class has fewer rows than folds; `note` then says so.

    Args:
        target: Class codes or values, shape (n,).
        num_classes: Classes, or 0 for regression.
        seed: Decides the cut.
        num_folds: Folds; by the number of rows where left out.

    Raises:
        DataError: If there are fewer than 4 rows.
    """
    wanted = num_folds or default_num_folds(len(target))
    if len(target) < 4:
        raise DataError(f"{len(target)} training rows; at least 4 are needed to cut folds. Nothing was trained.")
    possible, smallest = min(wanted, len(target) // 2), 0
    if num_classes:
        smallest = int(np.bincount(target.astype(np.int64), minlength=num_classes).min())
        possible = max(2, min(possible, smallest))
    reason = f"the smallest class has {smallest} rows" if num_classes else f"there are only {len(target)} rows"
    note = "" if possible == wanted else f"{possible} folds instead of {wanted}: {reason}"
    random = np.random.default_rng(seed)
    order = random.permutation(len(target))
    order = order[np.argsort(target[order], kind="stable")]  # like beside like, otherwise at random
    fold_of = np.empty(len(target), dtype=np.int64)
    # Each run of neighbours is dealt out one to a fold, in an order of its own.
    for start in range(0, len(order), possible):
        run = order[start : start + possible]
        fold_of[run] = random.permutation(possible)[: len(run)]
    return Folds(fold_of, possible, False, note)


def time_folds(times: Array, num_folds: int | None = None) -> Folds:
    """Cut rows along time into blocks of about as many rows; every fold learns only from what lies before it.

    Rows of one moment are never divided. The earliest block is judged by no fold.

    Args:
        times: Moments as integers or floats, shape (n,), none missing.
        num_folds: Folds; by the number of rows where left out.

    Raises:
        DataError: If all rows have the same time.
    """
    wanted = num_folds or default_num_folds(len(times))
    moments, counts = np.unique(times, return_counts=True)
    if len(moments) < 2:
        raise DataError(
            f"All {len(times)} training rows have the same time; folds along time need at least 2 times. Nothing was "
            "trained: set 'folds: shuffled', or train on a longer window."
        )
    # A moment goes to the block in which its middle row lies.
    middle = np.cumsum(counts) - counts / 2
    block_of_moment = np.minimum((middle / len(times) * (wanted + 1)).astype(np.int64), wanted)
    block_of_moment = np.unique(block_of_moment, return_inverse=True)[1]  # blocks without rows fall out
    if block_of_moment[-1] == 0:
        block_of_moment[-1] = 1
    blocks = block_of_moment[np.searchsorted(moments, times)]
    possible = int(blocks.max())
    fold_of = np.where(blocks == 0, NEVER_JUDGED, possible - blocks).astype(np.int64)
    note = "" if possible == wanted else f"{possible} folds instead of {wanted}: there are only {len(moments)} times"
    return Folds(fold_of, possible, True, note)
