from __future__ import annotations

import numpy as np
import pytest

from pipelines.classic.estimators.encoding import MOST_NATIVE_LEVELS, SMOOTHING_ROWS, Encoder, native_categories

RANDOM = np.random.default_rng(0)
LEVELS = 500
CODES = RANDOM.integers(0, LEVELS, 2_000).astype(float)
NOISE = RANDOM.integers(0, 2, 2_000)


def test_no_row_sees_its_own_target() -> None:
    encoder = Encoder([LEVELS], "target", 2, seed=0)
    crossed = encoder.fit_transform(CODES[:, None], NOISE)[:, 1]
    own = encoder.transform(CODES[:, None])[:, 1]
    assert np.corrcoef(own, NOISE)[0, 1] > 0.3  # the levels know these rows by heart
    assert abs(np.corrcoef(crossed, NOISE)[0, 1]) < 0.1  # target and levels have nothing to do with each other


def test_statistics_are_smoothed_towards_the_whole() -> None:
    matrix = np.array([[0.0], [0.0], [1.0], [1.0], [2.0], [2.0]])
    y = np.array([10.0, 20.0, 0.0, 0.0, 0.0, 0.0])
    encoder = Encoder([3], "target").fit(matrix, y)
    assert encoder.transform(matrix)[0, 1] == pytest.approx((30 + SMOOTHING_ROWS * 5) / (2 + SMOOTHING_ROWS))


def test_missing_and_unknown_levels_get_the_statistics_of_the_whole() -> None:
    matrix = np.array([[0.0], [1.0], [2.0], [0.0]])
    y = np.array([1.0, 2.0, 3.0, 6.0])
    encoder = Encoder([3], "target").fit(matrix, y)
    np.testing.assert_allclose(encoder.transform(np.array([[np.nan], [3.0], [77.0]]))[:, 1], 3.0)


def test_native_codes_never_go_beyond_what_histogram_trees_take() -> None:
    encoded = Encoder([LEVELS], "native", 2).fit(CODES[:, None], NOISE).transform(CODES[:, None])
    assert encoded[:, 0].max() == MOST_NATIVE_LEVELS
    assert encoded.shape[1] == 2  # so many levels get target statistics besides


def test_native_leaves_missing_numbers_missing() -> None:
    matrix = np.array([[1.0, np.nan], [np.nan, 0.0], [2.0, 1.0]])
    np.testing.assert_array_equal(Encoder([0, 3], "native", 2).fit_transform(matrix, np.array([0, 1, 1])), matrix)
    assert native_categories([0, 3, 2], "native") == [1]
    assert native_categories([0, 3, 2], "target") == []


def test_dense_fills_and_marks_missing_numbers_and_spreads_levels() -> None:
    matrix = np.array([[1.0, 0.0], [np.nan, 1.0], [3.0, np.nan], [5.0, 2.0]])
    encoder = Encoder([0, 2], "dense", 2).fit(matrix, np.array([0, 1, 0, 1]))
    expected = [[1, 1, 0, 0], [3, 0, 1, 1], [3, 0, 0, 0], [5, 0, 0, 0]]
    np.testing.assert_array_equal(encoder.transform(matrix), expected)


def test_dense_answers_a_number_that_was_never_there_in_a_fold() -> None:
    matrix = np.full((3, 1), np.nan)
    encoder = Encoder([0], "dense").fit(matrix, np.arange(3.0))
    np.testing.assert_array_equal(encoder.transform(np.array([[7.0], [np.nan]])), [[7.0], [0.0]])


def test_more_classes_give_statistics_for_each_and_very_many_give_none() -> None:
    y = RANDOM.integers(0, 4, len(CODES))
    assert Encoder([LEVELS], "target", 4).fit_transform(CODES[:, None], y).shape[1] == 1 + 4
    assert Encoder([LEVELS], "target", 40).fit_transform(CODES[:, None], y).shape[1] == 1


def test_the_seed_decides_and_nothing_else() -> None:
    encode = lambda seed: Encoder([LEVELS], "target", 2, seed).fit_transform(CODES[:, None], NOISE)  # noqa: E731
    np.testing.assert_array_equal(encode(1), encode(1))
    assert (encode(1) != encode(2)).any()
