"""Moments come out the same however the rows are split, but for rounding, and bit for bit on every run."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.data.moments import Moments, merge_moments, moments_of


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 100_003])
def test_mean_and_deviations_are_those_of_numpy(size: int) -> None:
    values = np.random.default_rng(0).normal(1e6, 3, size)
    found = moments_of(values)
    assert found.count == size
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.m2 == pytest.approx(np.square(values - values.mean()).sum(), rel=1e-9, abs=1e-9)


def test_parts_merge_to_the_whole() -> None:
    values = np.random.default_rng(0).exponential(5, 10_000)
    whole = moments_of(values)
    merged = merge_moments(
        [moments_of(values[:3]), Moments(0, 0.0, 0.0), moments_of(values[3:7000]), moments_of(values[7000:])]
    )
    assert merged.count == whole.count
    assert merged.mean == pytest.approx(whole.mean, rel=1e-14)
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-12)


def test_a_thousand_tenths_add_up_within_a_rounding() -> None:
    assert moments_of(np.full(1000, 0.1)).mean == pytest.approx(0.1, rel=1e-15)


def test_nothing_has_no_moments() -> None:
    assert moments_of(np.empty(0)) == merge_moments([]) == Moments(0, 0.0, 0.0)
