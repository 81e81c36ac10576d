"""A quantile summary keeps the bound it carries, merges in any order, and is the same on every run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.data.quantiles import POINTS, QuantileSummary, merge_summaries, summarise


def worst_rank_error(summary: QuantileSummary, values: np.ndarray) -> int:
    """Return the largest distance between the summary's ranks and the true ones, in rows."""
    points = np.sort(values)
    true = np.searchsorted(points, points, side="right")
    return int(np.abs(np.rint(summary.share_below_or_at(points) * points.size) - true).max())


def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "normal": rng.normal(size=20_000),
        "heavy tail": rng.pareto(0.8, 20_000),
        "half zero": np.where(rng.random(20_000) < 0.5, 0.0, rng.normal(size=20_000)),
        "integers": rng.integers(0, 5000, 20_000).astype(float),
        "sorted": np.arange(20_000.0),
        "few": rng.integers(0, 24, 20_000).astype(float),
    }


@pytest.mark.parametrize("name", list(samples()))
def test_every_rank_is_within_the_bound_that_the_summary_carries(name: str) -> None:
    values = samples()[name]
    summary = summarise(values)
    assert summary.num_rows == values.size
    assert summary.values.size <= POINTS
    assert worst_rank_error(summary, values) <= summary.rank_error_rows
    assert summary.rank_error <= 0.6 / POINTS


@pytest.mark.parametrize("name", list(samples()))
def test_merged_parts_stay_within_the_bound_that_they_carry_together(name: str) -> None:
    values = samples()[name]
    parts = [summarise(part) for part in np.array_split(values, 7)]
    at_once = merge_summaries(parts)
    one_by_one = parts[0]
    for part in parts[1:]:
        one_by_one = merge_summaries([one_by_one, part])
    for merged in (at_once, one_by_one):
        assert merged.num_rows == values.size
        assert worst_rank_error(merged, values) <= merged.rank_error_rows
    assert at_once.rank_error <= 1.2 / POINTS


def test_few_distinct_values_are_kept_exactly_whatever_the_order_of_merging() -> None:
    values = samples()["few"]
    a, b, c = (summarise(part) for part in np.array_split(values, 3))
    whole = summarise(values)
    for merged in (
        merge_summaries([a, b, c]),
        merge_summaries([merge_summaries([c, a]), b]),
        merge_summaries([a, merge_summaries([b, c])]),
    ):
        assert merged.encode() == whole.encode()
        assert merged.rank_error_rows == 0


def test_the_order_of_rows_does_not_matter() -> None:
    values = samples()["normal"]
    assert summarise(values).encode() == summarise(values[::-1]).encode()


def test_quantiles_are_values_of_the_column() -> None:
    summary = summarise(np.array([1.0, 2.0, 2.0, 10.0]))
    assert [summary.quantile(share) for share in (0, 0.25, 0.5, 0.75, 0.76, 1)] == [1, 1, 2, 2, 10, 10]


def test_without_rows_there_is_no_quantile() -> None:
    empty = summarise(np.empty(0))
    assert math.isnan(empty.quantile(0.5))
    assert empty.num_rows == 0
    assert merge_summaries([empty, summarise(np.array([3.0])), empty]).quantile(0.5) == 3


def test_text_and_back_is_the_same_summary() -> None:
    summary = summarise(samples()["heavy tail"])
    again = QuantileSummary.decode(summary.encode())
    assert again.encode() == summary.encode()
    assert again.rank_error_rows == summary.rank_error_rows > 0
