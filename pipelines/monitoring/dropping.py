"""Tell whether a figure is worse than it was: by more than the margin, and by more than chance.

Window and holdout are different rows, so their errors are independent and the interval of the difference follows from
the two intervals alone. Asking that the intervals do not overlap would be too much: at equal widths it takes a
difference of 1.4 times what chance gives. Asking that the window's interval leaves out the old value would be too
little: that value is itself known from some thousand rows only. In between, and right, is

    (old - new) - sqrt((old - worst old)^2 + (best new - new)^2)  >  0

which needs no symmetric interval, as an area under a curve near 1 has none.

Both intervals take rows for independent. Where rows share a day's weather, chance is larger than they say; the margin
and being seen in K of N windows are what stands against that.

Source: G. Y. Zou, A. Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27 (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.metrics import lower_is_better
from pipelines.spec.watching import Performance


def reference_of(metric: str, references: Sequence[MetricValue]) -> MetricValue | None:
    """Return the value on all rows of the holdout; None where it was not measured."""
    found = [one for one in references if one.metric == metric and one.slice == "all"]
    return found[0] if len(found) == 1 else None


def has_dropped(new: PerformanceValue, old: MetricValue | None, settings: Performance) -> bool:
    """Tell whether `new` is worse than `old` by more than the margin and by more than chance.

    What is not known, and a window with fewer than `minimum_rows` rows, has not dropped: it says nothing.

    Args:
        new: The figure in the window; its `reference` and `dropped` are not looked at.
        old: The champion's figure on the holdout that it was promoted by.
        settings: Margin and rows.
    """
    if old is None or new.num_rows < settings.minimum_rows:
        return False
    sign = -1.0 if lower_is_better(new.metric) else 1.0
    sides = _turned(new.value, new.low, new.high, sign), _turned(old.value, old.low, old.high, sign)
    if sides[0] is None or sides[1] is None:
        return False
    (value, best), (was, worst_was) = (sides[0][0], sides[0][2]), (sides[1][0], sides[1][1])
    chance = math.hypot(max(was - worst_was, 0.0), max(best - value, 0.0))
    return was - value > settings.may_drop_by and was - value > chance


def _turned(
    value: float | None, low: float | None, high: float | None, sign: float
) -> tuple[float, float, float] | None:
    """Return value, worst and best with more being better; None where one of them is not known."""
    if value is None or low is None or high is None:
        return None
    return sign * value, min(sign * low, sign * high), max(sign * low, sign * high)
