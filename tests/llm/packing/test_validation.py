"""Whole groups are kept for validation, near the share that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.llm.packing.validation import validation_groups

NAMES = [f"g{number}" for number in range(200)]


def test_about_the_share_of_tokens_is_chosen_and_always_the_same() -> None:
    sizes = np.random.default_rng(0).integers(10, 1000, 200)
    chosen = validation_groups(NAMES, sizes, 0.1, seed=0)
    assert 0.09 < sizes[sorted(chosen)].sum() / sizes.sum() <= 0.1
    assert chosen == validation_groups(NAMES, sizes, 0.1, seed=0)
    assert chosen != validation_groups(NAMES, sizes, 0.1, seed=1)


def test_a_group_that_is_larger_than_the_share_is_not_chosen() -> None:
    assert 0 not in validation_groups(["big", "a", "b"], np.array([1000, 10, 10]), 0.05, seed=0)


def test_where_no_group_is_small_enough_the_smallest_is_chosen() -> None:
    assert validation_groups(["a", "b"], np.array([1000, 900]), 0.05, seed=0) == {1}


def test_one_group_is_never_all() -> None:
    assert len(validation_groups(["a", "b"], np.array([1, 1]), 0.5, seed=0)) == 1
    with pytest.raises(DataError, match=r"has 1 group\(s\) of conversations; needed are 2"):
        validation_groups(["a"], np.array([5]), 0.5, seed=0)
