"""When a loss says that something is wrong: not a number, exploded, or not where the pretrained model stands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.errors import TrainingDiverged

_START_MARGIN = 1.0  # nats over knowing nothing, at which a start is wrong: broken weights gave 121 instead of 11
_EXPLODED_MARGIN = 2.0
_SAME_NATS = 0.05  # bf16 in another order of sums
_MOST_ROWS = 50


class LossGuard:
    """Knows what a loss may be for a vocabulary; knowing nothing costs ln(vocabulary) nats a token."""

    def __init__(self, vocabulary: int) -> None:
        self._nothing = math.log(vocabulary)

    def check_start(self, loss: float) -> None:
        """Raise `TrainingDiverged` when the model is worse than one that knows nothing, before anything was learnt."""
        if not loss <= self._nothing + _START_MARGIN:
            raise TrainingDiverged(
                f"The loss before the first step is {loss:.3f} nats a token, more than {self._nothing:.3f} + "
                f"{_START_MARGIN:g}, with which a model knows nothing: these are not the pretrained weights. "
                "Nothing was trained."
            )

    def check_same(self, loss: float, plain: float) -> None:
        """Raise `TrainingDiverged` when DeepSpeed's model is not the one that was loaded."""
        if not abs(loss - plain) <= _SAME_NATS * max(1.0, abs(plain)):
            raise TrainingDiverged(
                f"A first batch costs {loss:.4f} nats a token under DeepSpeed, and {plain:.4f} with the same model "
                f"alone; they may differ by {_SAME_NATS:g}. Nothing was trained."
            )

    def check_look(self, step: int, loss: float, text: str = "validation") -> None:
        """Raise `TrainingDiverged` when the loss on some text is not a number: no weights could be the best."""
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"The {text} loss after step {step} is {loss}: the weights are broken. Training has stopped; lower "
                "the learning rate."
            )

    def check(self, step: int, loss: float, norm: float, document_rows: Sequence[int]) -> None:
        """Raise `TrainingDiverged` when a step's loss or gradient is not a number, or has exploded; names the rows."""
        if math.isfinite(loss) and math.isfinite(norm) and loss <= self._nothing + _EXPLODED_MARGIN:
            return
        more = f" and {len(document_rows) - _MOST_ROWS} more" if len(document_rows) > _MOST_ROWS else ""
        rows = ", ".join(str(row) for row in document_rows[:_MOST_ROWS])
        raise TrainingDiverged(
            f"Step {step} has loss {loss:.3f} and gradient norm {norm:.3g}; a loss may be at most "
            f"{self._nothing + _EXPLODED_MARGIN:.3f} (2 nats worse than knowing nothing). Training has stopped; the "
            f"step's documents are rows {rows}{more} of the training side."
        )
