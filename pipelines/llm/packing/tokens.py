"""Keep the tokens of a corpus in files while it is packed: its lengths are in memory, its tokens are not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pipelines.llm.packing.bins import pieces
from pipelines.llm.packing.encoding import Encoded


class TokenFile:
    """The documents that sequences are filled with, none longer than a sequence; written once, then read anywhere.

    After it is closed for writing: `lengths`, `num_learnt`, `rows` and `groups` have an entry a document. A row is
    negative where it stands in no snapshot.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        self._paths = (folder / "ids.bin", folder / "learnt.bin")
        self._files = tuple(path.open("wb") for path in self._paths)
        self._capacity = capacity
        self._lengths: list[int] = []
        self._num_learnt: list[int] = []
        self._rows: list[int] = []
        self._groups: list[int] = []
        self._names: dict[str, int] = {}
        self.num_cut = 0
        self.num_without_answer = 0

    def add(self, row: int, group: str, encoded: Encoded) -> int:
        """Take a document, cut where it is longer than a sequence; return how many pieces it came to.

        A piece in which nothing is learnt is left out.
        """
        cuts = pieces(encoded.turns, len(encoded.ids), self._capacity)
        self.num_cut += len(cuts) > 1
        taken = 0
        for start, end in cuts:
            learnt = encoded.learnt[start:end].copy()
            learnt[:1] = False  # nothing tells a document's first token
            if not learnt.any():
                self.num_without_answer += 1
                continue
            self._files[0].write(encoded.ids[start:end].astype("<i4").tobytes())
            self._files[1].write(learnt.tobytes())
            self._lengths.append(end - start)
            self._num_learnt.append(int(np.count_nonzero(learnt)))
            self._rows.append(row)
            self._groups.append(self._names.setdefault(group, len(self._names)))
            taken += 1
        return taken

    def __enter__(self) -> Self:
        """Return the file, open for writing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it for writing."""
        for file in self._files:
            file.close()
        self.lengths = np.array(self._lengths, np.int64)
        self.num_learnt = np.array(self._num_learnt, np.int64)
        self.rows = np.array(self._rows, np.int64)
        self.groups = np.array(self._groups, np.int64)
        self.group_names = tuple(self._names)
        self._starts = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def open(self) -> TokenReader:
        """Return what reads the documents; there must be at least one."""
        ids = np.memmap(self._paths[0], "<i4", "r")
        learnt = np.memmap(self._paths[1], bool, "r")
        return TokenReader(ids, learnt, self._starts, self.lengths)


class TokenReader:
    """Reads single documents out of files that are mapped into memory."""

    def __init__(self, ids: np.ndarray, learnt: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> None:
        self._ids, self._learnt, self._starts, self._lengths = ids, learnt, starts, lengths

    def read(self, document: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the tokens of a document and which of them are learnt, each of shape (length,)."""
        start = int(self._starts[document])
        part = slice(start, start + int(self._lengths[document]))
        return self._ids[part], self._learnt[part]
