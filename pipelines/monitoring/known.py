"""Rows whose truth is known, from which it is learnt how far a champion's answers can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.classic.evaluation.arrays import Array
from pipelines.monitoring.answers import Answered

MOST_KNOWN_ROWS = 5_000  # of one source; little is learnt from them, and they are kept for many windows
FEWEST_KNOWN_ROWS = 100  # of fewer even that is noise


@dataclass(frozen=True)
class Known:
    """Rows of the holdout, or of one window that has labels.

    `truth`: class codes or values, shape (n,). `predicted`: probabilities (n, K) or values (n,). `inputs`, for a
    regression: what else its error may hang on, shape (n, d), NaN where missing. `classes`: the K labels as text; where
    there are none, they are those of the rows in question, in the same order.
    """

    truth: Array
    predicted: Array
    inputs: Array | None = None
    classes: tuple[str, ...] = ()

    def aligned(self, classes: Sequence[str], num_classes: int) -> Known:
        """Return the rows with their classes in the order of `classes`, without those of any other class."""
        places = [self.classes.index(name) if name in self.classes else -1 for name in classes]
        if not self.classes or not classes:
            places = list(range(num_classes))
        code_of = np.full(max(self.predicted.shape[1], *places, 0) + 1, -1)
        code_of[[place for place in places if place >= 0]] = [code for code, place in enumerate(places) if place >= 0]
        truth = code_of[self.truth]
        padded = np.column_stack([self.predicted, np.zeros(len(self.predicted))])  # place -1: a class it does not have
        return Known(truth[truth >= 0], padded[truth >= 0][:, places], classes=tuple(classes))


def known_from(answered: Answered, inputs: Array | None = None) -> Known:
    """Return at most `MOST_KNOWN_ROWS` rows that have a truth, evenly from all of them."""
    assert answered.truth is not None
    num_rows = min(len(answered.truth), MOST_KNOWN_ROWS)
    rows = np.arange(num_rows) * len(answered.truth) // max(num_rows, 1)
    return Known(
        answered.truth[rows], answered.predicted[rows], None if inputs is None else inputs[rows], answered.classes
    )


def ends_of(sources: Sequence[Known]) -> tuple[Array, Array, Array | None]:
    """Return truth, answers and inputs of the first and the last source, with equal numbers of rows from both.

    The first is what the champion was promoted by, the last what the world has come to; neither outweighs the other by
    having more rows: the smaller one's rows count several times.
    """
    ends = sources[:1] if len(sources) == 1 else [sources[0], sources[-1]]
    most = max(len(source.truth) for source in ends)
    rows = [np.arange(most) * len(source.truth) // most for source in ends]
    inputs = [source.inputs[places] for source, places in zip(ends, rows, strict=True) if source.inputs is not None]
    return (
        np.concatenate([source.truth[places] for source, places in zip(ends, rows, strict=True)]),
        np.concatenate([source.predicted[places] for source, places in zip(ends, rows, strict=True)]),
        np.concatenate(inputs) if len(inputs) == len(ends) else None,
    )
