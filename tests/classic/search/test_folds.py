from __future__ import annotations

import numpy as np
import pytest

from pipelines.classic.search.folds import NEVER_JUDGED, shuffled_folds, time_folds
from pipelines.errors import DataError


def test_each_row_is_judged_once_and_learnt_from_in_all_other_folds() -> None:
    folds = shuffled_folds(np.arange(100.0), 0, seed=0)
    assert folds.num_folds == 5
    assert sorted(np.concatenate([folds.judged(fold) for fold in range(5)])) == list(range(100))
    for fold in range(5):
        assert not set(folds.judged(fold)) & set(folds.learnt(fold))
        assert len(folds.learnt(fold)) == 80


def test_every_fold_has_its_share_of_each_class() -> None:
    target = np.array([0] * 90 + [1] * 10)
    folds = shuffled_folds(target, 2, seed=3)
    assert [int(target[folds.judged(fold)].sum()) for fold in range(5)] == [2] * 5


def test_every_fold_has_low_and_high_values() -> None:
    target = np.random.default_rng(0).normal(size=500)
    folds = shuffled_folds(target, 0, seed=0)
    means = [target[folds.judged(fold)].mean() for fold in range(5)]
    assert np.ptp(means) < 0.05


def test_the_seed_decides_the_folds_and_nothing_else() -> None:
    target = np.random.default_rng(0).integers(0, 3, 200)
    assert (shuffled_folds(target, 3, 1).fold_of == shuffled_folds(target, 3, 1).fold_of).all()
    assert (shuffled_folds(target, 3, 1).fold_of != shuffled_folds(target, 3, 2).fold_of).any()


def test_a_class_with_few_rows_makes_fewer_folds_and_says_so() -> None:
    folds = shuffled_folds(np.array([0] * 50 + [1] * 3), 2, seed=0)
    assert folds.num_folds == 3
    assert folds.note == "3 folds instead of 5: the smallest class has 3 rows"


def test_a_class_of_one_row_still_leaves_two_folds() -> None:
    assert shuffled_folds(np.array([0] * 50 + [1]), 2, seed=0).num_folds == 2


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="3 training rows; at least 4"):
        shuffled_folds(np.arange(3.0), 0, seed=0)


def test_time_folds_learn_only_from_the_past_and_the_first_is_judged_on_the_latest() -> None:
    times = np.random.default_rng(0).permutation(600)
    folds = time_folds(times)
    assert folds.num_folds == 5
    for fold in range(5):
        assert times[folds.learnt(fold)].max() < times[folds.judged(fold)].min()
    assert times[folds.judged(0)].max() == 599
    assert (folds.fold_of == NEVER_JUDGED).sum() == 100


def test_rows_of_one_moment_are_never_divided() -> None:
    times = np.repeat(np.arange(7), 30)
    folds = time_folds(times)
    for moment in range(7):
        assert len(set(folds.fold_of[times == moment])) == 1


def test_few_moments_make_fewer_folds() -> None:
    folds = time_folds(np.array([1, 1, 1, 1, 2, 2, 9, 9]))
    assert folds.num_folds == 2
    assert "only 3 times" in folds.note
    assert time_folds(np.array([1, 1, 1, 1, 1, 1, 1, 2])).num_folds == 1


def test_one_moment_is_refused() -> None:
    with pytest.raises(DataError, match="have the same time"):
        time_folds(np.zeros(10))
