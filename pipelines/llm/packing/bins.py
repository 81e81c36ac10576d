"""Fill sequences of one length with documents, so that little is left empty."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np


def pack(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Return the documents of each sequence, by number, each document once; ascending within a sequence.

    Best-fit decreasing: the longest document first, each into the fullest sequence that still takes it. Time grows with
    the number of documents times the logarithm of the capacity.

    Args:
        lengths: Tokens of each document, shape (n,), each from 1 to `capacity`.
        capacity: Tokens of a sequence.

    Source: D. Johnson, Near-optimal bin packing algorithms, 1973.

    >>> pack(np.array([5, 3, 4, 4]), 8)
    [[0, 1], [2, 3]]
    """
    bins: list[list[int]] = []
    with_room: dict[int, list[int]] = {}  # the sequences by what is left in them
    rooms: list[int] = []  # its keys, ascending
    for document in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[document])
        place = bisect.bisect_left(rooms, length)
        if place == len(rooms):
            bins.append([document])
            left, number = capacity - length, len(bins) - 1
        else:
            room = rooms[place]
            number = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[place]
            bins[number].append(document)
            left = room - length
        if left not in with_room:
            with_room[left] = []
            bisect.insort(rooms, left)
        with_room[left].append(number)
    return [sorted(each) for each in bins]


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
