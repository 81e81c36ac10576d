"""Choose the best weights of a training: what was learnt of the domain against what was forgotten of all else.

Each look at a training is a point: its loss on held-back text of the domain, and on general text that nobody teaches
it. Learning moves it down on the one and, sooner or later, up on the other.
"""

from __future__ import annotations

from typing import NamedTuple


class Point(NamedTuple):
    """The losses of some weights, in nats a token; `general` is None where there is no general text to measure."""

    loss: float
    general: float | None


class Frontier:
    """Knows how much of general text a training may forget, and so which of two points is the better."""

    def __init__(self, base_general: float | None, margin: float) -> None:
        """Keep the pretrained model's loss on general text, and by how many nats it may rise."""
        self._most = None if base_general is None else base_general + margin

    def forgets(self, point: Point) -> bool:
        """Tell whether these weights have forgotten more than they may."""
        return self._most is not None and point.general is not None and point.general > self._most

    def is_better(self, new: Point, best: Point | None) -> bool:
        """Tell whether new weights take the place of the best so far.

        Of weights that remember, the lowest loss is the best. While all forget, it is the least forgetful of those that
        no others beat on both texts, which is whoever forgot least.

        >>> frontier = Frontier(base_general=3.0, margin=0.1)
        >>> frontier.is_better(Point(2.0, 3.05), Point(2.4, 3.0)), frontier.is_better(Point(1.5, 3.2), Point(2.4, 3.0))
        (True, False)
        """
        return best is None or self._order(new) < self._order(best)

    def _order(self, point: Point) -> tuple[bool, float, float]:
        general = point.general if point.general is not None else 0.0
        return (True, general, point.loss) if self.forgets(point) else (False, point.loss, general)
