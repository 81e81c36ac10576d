"""Choose which groups of the training side are looked at while training, and never learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.errors import DataError
from pipelines.records import sha256_of


def validation_groups(names: Sequence[str], num_tokens: np.ndarray, share: float, seed: int) -> set[int]:
    """Return the numbers of the groups for validation, at least one and not all.

    In the order of their salted hash, each group is taken that still fits in the share of tokens; where none does, the
    smallest.

    Args:
        names: The groups' names.
        num_tokens: Tokens of each, shape (n,).
        share: Of all tokens, above 0.
        seed: Salt.

    Raises:
        DataError: If there are fewer than two groups.
    """
    if len(names) < 2:
        raise DataError(
            f"The training side has {len(names)} group(s) of conversations; needed are 2, one to learn from and one to "
            "validate with. Add data, or cut it into more documents (corpus.document_column). Nothing was packed."
        )
    order = sorted(range(len(names)), key=lambda number: sha256_of(f"{seed}:{names[number]}".encode()))
    room = share * float(num_tokens.sum())
    chosen: set[int] = set()
    for number in order:
        if num_tokens[number] <= room and len(chosen) < len(names) - 1:
            chosen.add(number)
            room -= float(num_tokens[number])
    return chosen or {min(order, key=lambda number: num_tokens[number])}
