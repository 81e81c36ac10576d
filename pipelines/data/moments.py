"""Mean and squared deviations that come out the same, bit for bit, on every machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """A count, the mean, and the sum of squared deviations from it."""

    count: int
    mean: float
    m2: float


def moments_of(values: Floats) -> Moments:
    """Return the moments of finite `values`, shape (n,); infinite or NaN where a double cannot hold them."""
    if not values.size:
        return Moments(0, 0.0, 0.0)
    scratch = values.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _fixed_order_sum(scratch) / values.size
        np.subtract(values, mean, out=scratch)
        return Moments(values.size, mean, _fixed_order_sum(np.square(scratch, out=scratch)))


def merge_moments(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all parts together.

    Source: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979).
    """
    total = Moments(0, 0.0, 0.0)
    for part in parts:
        if not part.count:
            continue
        count = total.count + part.count
        distance = part.mean - total.mean
        mean = total.mean + distance * (part.count / count)
        m2 = total.m2 + part.m2 + distance * distance * (total.count / count * part.count)
        total = Moments(count, mean, m2)
    return total


def _fixed_order_sum(values: Floats) -> float:
    """Add one half to the other, in place, until one value is left: numpy's own order depends on the processor."""
    size = values.size
    while size > 1:
        half = size // 2
        np.add(values[:half], values[half : 2 * half], out=values[:half])
        if size % 2:
            values[half] = values[size - 1]
        size -= half
    return float(values[0])
