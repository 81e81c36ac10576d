"""Fill sequences of one length with documents, so that little is left empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pack(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Return the documents of each sequence, by number, each document once; ascending within a sequence.

    Each sequence is begun with the longest document that is left, and with the next longest ones while two more cannot
    fill it; then comes the pair, or the one, that fills it best. Best-fit decreasing (Johnson, 1973) leaves three times
    as much empty where a sequence holds only a few documents. Time grows with the number of documents times that of
    their different lengths.

    Args:
        lengths: Tokens of each document, shape (n,), each from 1 to `capacity`.
        capacity: Tokens of a sequence.

    >>> pack(np.array([5, 3, 4, 4]), 8)
    [[0, 1], [2, 3]]
    """
    stock = _Stock(lengths, capacity)
    bins: list[list[int]] = []
    while len(stock.lengths):
        room, documents = capacity, []
        while chosen := stock.best_for(room):
            room -= sum(chosen)
            documents += [stock.take(length) for length in chosen]
        bins.append(sorted(documents))
    return bins


class _Stock:
    """The documents that are not packed yet; `lengths` are their different lengths, ascending."""

    def __init__(self, lengths: np.ndarray, capacity: int) -> None:
        self._capacity = capacity
        self._order = np.argsort(lengths, kind="stable")
        self._left = np.bincount(lengths, minlength=capacity + 1)
        self._starts = np.cumsum(self._left) - self._left
        self.lengths = np.flatnonzero(self._left)

    def take(self, length: int) -> int:
        """Return the number of a document of this length, which is gone then."""
        self._left[length] -= 1
        if not self._left[length]:
            self.lengths = self.lengths[self.lengths != length]
        return int(self._order[self._starts[length] + self._left[length]])

    def best_for(self, room: int) -> list[int]:
        """Return the lengths of the one or two documents to put next where so much is free; none where none fits."""
        fitting = self.lengths[: np.searchsorted(self.lengths, room, "right")]
        if not len(fitting):
            return []
        longest = int(fitting[-1])
        if longest == room or room == self._capacity or 2 * longest < room:
            return [longest]
        seconds = self._seconds(fitting, room)
        best = int(np.argmax(fitting + seconds))
        pair = [int(fitting[best]), int(seconds[best])]
        return pair if sum(pair) > longest and pair[1] else [longest]

    def _seconds(self, firsts: np.ndarray, room: int) -> np.ndarray:
        """Return for each first length the longest second one that fits beside it; 0 where none does."""
        known = np.concatenate([[0], self.lengths])
        places = np.searchsorted(known, room - firsts, "right") - 1
        alone = (known[places] == firsts) & (self._left[firsts] < 2)
        return np.asarray(known[places - alone])


def pieces(turns: Sequence[int], length: int, capacity: int) -> list[tuple[int, int]]:
    """Return where to cut a document of `length` tokens so that no piece is longer than `capacity`.

    It is cut where an exchange of user and assistant begins; an exchange that is too long by itself, between tokens.

    Args:
        turns: The places at which an exchange begins, ascending, the first 0.
        length: Tokens of the document.
        capacity: Tokens of a sequence.

    >>> pieces([0, 4, 7], 9, 8), pieces([0], 20, 8)
    ([(0, 7), (7, 9)], [(0, 8), (8, 16), (16, 20)])
    """
    found: list[tuple[int, int]] = []
    start = 0
    while length - start > capacity:
        borders = [turn for turn in turns if start < turn <= start + capacity]
        end = borders[-1] if borders else start + capacity
        found.append((start, end))
        start = end
    return [*found, (start, length)]
