"""The order in which sequences are trained on: a function of seed and position, so that a resume needs no state.

Each pass over the data is a permutation of its own. It is computed position by position, by a Feistel network over the
next power of four and walking on where it leaves the range (Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
2002), so that a corpus of any size needs no table.
"""

from __future__ import annotations

import hashlib

_ROUNDS = 6


def sequences_of_step(step: int, per_step: int, num_sequences: int, seed: int) -> list[int]:
    """Return the `per_step` sequences of a step, in order; steps count from 1.

    The passes follow each other without a gap: a step at the end of one goes on with the next.

    >>> [sequences_of_step(step, 2, 3, seed=0) for step in (1, 2, 3)]
    [[1, 0], [2, 2], [0, 1]]
    """
    first = (step - 1) * per_step
    return [
        shuffled(position % num_sequences, num_sequences, seed, position // num_sequences)
        for position in range(first, first + per_step)
    ]


def shuffled(position: int, count: int, seed: int, epoch: int) -> int:
    """Return what stands at `position` of the permutation of `range(count)` that seed and epoch name.

    >>> sorted(shuffled(position, 5, seed=0, epoch=3) for position in range(5))
    [0, 1, 2, 3, 4]
    """
    half_bits = max(1, ((count - 1).bit_length() + 1) // 2)
    value = position
    while True:
        value = _permuted(value, half_bits, f"{seed}/{epoch}")
        if value < count:
            return value


def _permuted(value: int, half_bits: int, key: str) -> int:
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for number in range(_ROUNDS):
        digest = hashlib.blake2b(f"{key}/{number}/{right}".encode(), digest_size=8).digest()
        left, right = right, left ^ (int.from_bytes(digest) & mask)
    return left << half_bits | right
