"""The arrays that metrics speak of, and the one safe way to divide them.

truth: class codes 0..K-1 for classification, shape (n,), or values for regression, shape (n,).
predicted: probabilities, shape (n, K), or values, shape (n,).
weights: how often each row counts, shape (resamples, n); a row of ones is the sample itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = NDArray[np.float64]


def ratio(over: Array, under: Array, nothing: float = np.nan) -> Array:
    """Return `over / under`, and `nothing` where `under` is zero.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    under = np.asarray(under, dtype=float)
    quotient: Array = np.divide(over, under, out=np.full(under.shape, nothing), where=under != 0)
    return quotient
