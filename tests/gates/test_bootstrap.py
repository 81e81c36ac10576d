"""Resamples that are fair, repeatable, and give intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.gates import bootstrap
from pipelines.gates.bootstrap import percentile_interval, resampling_weights, seed_from


def _all(num_rows: int, samples: int, seed: int) -> np.ndarray:
    return np.vstack(list(resampling_weights(num_rows, samples, seed)))


def test_each_resample_draws_as_many_rows_as_there_are() -> None:
    weights = _all(50, 300, seed=1)
    assert weights.shape == (300, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(50), abs=0.25)
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.05)  # multinomial


def test_the_same_holdout_is_resampled_alike_and_another_is_not() -> None:
    seed = seed_from("ab" * 32)
    assert (_all(50, 20, seed) == _all(50, 20, seed)).all()
    assert (_all(50, 20, seed) != _all(50, 20, seed_from("ac" * 32))).any()


def test_how_many_come_at_once_changes_nothing(monkeypatch) -> None:
    whole = _all(50, 20, seed=1)
    monkeypatch.setattr(bootstrap, "_NUMBERS_AT_ONCE", 150)
    parts = list(resampling_weights(50, 20, seed=1))
    assert [len(part) for part in parts] == [3, 3, 3, 3, 3, 3, 2]
    assert (np.vstack(parts) == whole).all()


def test_a_holdout_beyond_the_block_size_comes_one_resample_at_once(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "_NUMBERS_AT_ONCE", 10)
    assert [part.shape for part in resampling_weights(50, 2, seed=1)] == [(1, 50), (1, 50)]


def test_an_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(300):
        sample = generator.exponential(1.0, 200)
        means = np.concatenate([weights @ sample / 200 for weights in resampling_weights(200, 300, seed=trial)])
        low, high = percentile_interval(means)
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_an_interval_needs_most_resamples_measured() -> None:
    values = np.arange(100.0)
    values[:5] = np.nan
    assert np.isfinite(percentile_interval(values)).all()
    values[5] = np.nan
    assert np.isnan(percentile_interval(values)).all()
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()
    assert np.isnan(percentile_interval(np.array([]))).all()
