"""Read packed sequences of tokens, one at a time and from anywhere, out of an Arrow file mapped into memory.

Nothing is read before it is asked for, so that a corpus larger than memory trains.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.errors import DataError, IntegrityError

COLUMNS = ("input_ids", "labels", "position_ids", "document_ends", "document_rows")
TRAIN, VALIDATION, MANIFEST = "train.arrow", "validation.arrow", "manifest.json"
GENERAL = "general.arrow"  # text of all kinds that is looked at and never learnt; not there where no suite is asked
IGNORED = -100  # the label of a token that is not learnt


@dataclass(frozen=True)
class Sequence:
    """One packed sequence of L tokens.

    `input_ids`, `labels` and `position_ids` have shape (L,), int64. Positions start again at 0 with every document. The
    label of a token is the token itself, told from those before it in its document, or -100 where it is not learnt: the
    first token of a document never is. `document_rows` are the rows of the snapshot's training side that are in it.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    position_ids: np.ndarray
    document_rows: tuple[int, ...]


class PackedSequences:
    """The sequences of one file, by number."""

    def __init__(self, path: Path) -> None:
        """Map the file. Raises `DataError` when it is not there, or no file of packed sequences."""
        self._path = path
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path} cannot be read as packed sequences: {error}. Nothing was trained.") from error
        missing = [name for name in COLUMNS if name not in self._reader.schema.names]
        if missing:
            raise DataError(f"{path} lacks the columns {', '.join(missing)} of packed sequences. Nothing was trained.")
        ends, total = [], 0
        for number in range(self._reader.num_record_batches):
            total += self._reader.get_batch(number).num_rows
            ends.append(total)
        self._ends = ends

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> Sequence:
        """Return one sequence. Raises `IntegrityError` when positions do not start again where a document does."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        batch = bisect.bisect_right(self._ends, number)
        row = number - (self._ends[batch - 1] if batch else 0)
        table = self._reader.get_batch(batch)
        values = {name: table.column(name).slice(row, 1).flatten().to_numpy(zero_copy_only=False) for name in COLUMNS}
        positions, ends = values["position_ids"], values["document_ends"]
        starts = np.concatenate([[0], ends])[: len(ends)]
        if len({len(values[name]) for name in COLUMNS[:3]}) != 1 or np.any(positions[starts] != 0):
            raise IntegrityError(
                f"Sequence {number} of {self._path} has positions that do not start at 0 with each document, or "
                "columns of unequal lengths: its documents would see each other. It was not used."
            )
        return Sequence(
            values["input_ids"].astype(np.int64),
            np.where(positions == 0, IGNORED, values["labels"]).astype(np.int64),
            positions.astype(np.int64),
            tuple(int(value) for value in values["document_rows"]),
        )

    def num_labels(self, number: int) -> int:
        """Return how many tokens of a sequence are learnt."""
        return int(np.count_nonzero(self[number].labels != IGNORED))
