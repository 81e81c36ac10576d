"""Distances from profiles are those of the rows, and their p-values hold what they promise."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pipelines.data.profiles import ColumnProfile, merge_profiles
from pipelines.data.profiling import profile_table
from pipelines.monitoring.column_drift import looks_at
from pipelines.monitoring.distances import Apart, benjamini_hochberg, missing_share


def profiled(values) -> ColumnProfile:
    return profile_table(pa.table({"x": values})).column("x")


def apart(left, right) -> Apart:
    return compared(profiled(left), profiled(right))


def compared(reference: ColumnProfile, new: ColumnProfile) -> Apart:
    (look,) = looks_at(reference, new)
    assert look.apart is not None
    return look.apart


def test_numbers_with_few_values_have_the_exact_distance_and_p_value_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.poisson(4, 3_000), rng.poisson(4.3, 700)
    found, expected = apart(left, right), stats.ks_2samp(left, right, method="asymp")
    assert found.distance == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.25, 1.0, 20.0])
def test_numbers_of_any_distribution_are_told_within_what_the_summaries_may_be_wrong_by(shift) -> None:
    rng = np.random.default_rng(1)
    left, right = rng.gamma(2, 1, 40_000), rng.gamma(2, 1, 15_000) + shift
    found, profiles = apart(left, right), (profiled(left), profiled(right))
    error = sum(one.number.summary.rank_error for one in profiles)
    assert error < 0.005
    assert found.distance == pytest.approx(stats.ks_2samp(left, right).statistic, abs=error)


def test_merged_summaries_are_not_more_significant_than_their_rows() -> None:
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=2_000) for _ in range(40)]
    new = rng.normal(0.03, 1, 20_000)
    merged = merge_profiles([profile_table(pa.table({"x": part})) for part in parts]).column("x")
    found = compared(merged, profiled(new))
    assert found is not None
    exact = stats.ks_2samp(np.concatenate(parts), new, method="asymp")
    assert abs(found.distance - exact.statistic) < 0.005
    assert found.p_value >= exact.pvalue


def test_a_point_mass_is_one_step_and_no_distance_within_it() -> None:
    mostly_zero = np.zeros(10_000)
    mostly_zero[:500] = np.arange(500)
    assert apart(mostly_zero, mostly_zero[::2]).distance < 0.01
    assert apart(mostly_zero, np.zeros(1_000)).distance == pytest.approx(0.0499, abs=1e-4)


def test_nothing_missing_is_like_the_numbers_alone_and_missing_counts_as_a_value_below_them() -> None:
    values = [float(n) for n in range(100)]
    half = [None if n % 2 else float(n) for n in range(100)]
    found = apart(values, half)
    assert found.distance == pytest.approx(0.5)
    assert missing_share(profiled(half)) == 0.5
    assert missing_share(profiled([np.nan, np.inf, None, 1.0])) == 0.75
    assert apart(half, half).distance == 0


def test_infinities_and_nan_are_missing_and_never_an_answer() -> None:
    found = apart([1.0, np.nan, -np.inf, 2.0], [1.0, np.inf, None, 2.0])
    assert (found.distance, found.psi, found.p_value) == (0, 0, 1)


def test_times_are_numbers() -> None:
    days = np.datetime64("2013-01-01") + np.arange(100).astype("m8[D]")
    assert apart(days[:50], days[50:]).distance == 1
    assert apart(days, days[:50]).distance == pytest.approx(0.5)


def test_categories_have_the_total_variation_and_the_chi_square_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.choice(list("abcd"), 4_000, p=[0.4, 0.3, 0.2, 0.1]), rng.choice(list("abcd"), 900)
    counts = np.array([[(side == name).sum() for name in "abcd"] for side in (left, right)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    found = apart(left, right)
    assert found.distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2, abs=0.001)
    assert found.p_value == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue, rel=1e-6)


@pytest.mark.parametrize("num_rows", [300, 1_000, 30_000])
def test_many_categories_of_equal_samples_are_not_far_apart_however_few_the_rows(num_rows) -> None:
    rng = np.random.default_rng(8)
    names, sizes = [f"{n}" for n in range(50)], np.arange(1, 51) / np.arange(1, 51).sum()
    reference = profiled(rng.choice(names, 50_000, p=sizes))
    shifted = np.append(sizes[:-2] * 0.8, [0.1, 0.9 - 0.8 * sizes[:-2].sum()])
    distances = [compared(reference, profiled(rng.choice(names, num_rows, p=sizes))).distance for _ in range(20)]
    far = [compared(reference, profiled(rng.choice(names, num_rows, p=shifted))).distance for _ in range(20)]
    assert np.mean(distances) < 0.02
    assert 0.1 < np.mean(far) < np.abs(sizes - shifted).sum() / 2 + 0.02


def test_a_missing_category_counts_as_one() -> None:
    assert apart(["a"] * 50, ["a"] * 25 + [None] * 25).distance == pytest.approx(0.5)
    assert apart([True, False] * 500, [True] * 300 + [None] * 300).distance == pytest.approx(0.5, abs=0.02)


def test_rare_categories_are_one_rest() -> None:
    left = [f"rare {n}" for n in range(500)] + ["frequent"] * 500
    right = [f"rarer {n}" for n in range(500)] + ["frequent"] * 500
    assert apart(left, right).distance == 0
    assert apart(left, ["new"] * 500 + ["frequent"] * 500).distance == pytest.approx(0.5, abs=0.02)


def test_what_a_sketch_cannot_know_is_never_significant() -> None:
    rng = np.random.default_rng(4)
    names = np.array([f"{n:06d}" for n in range(20_000)])
    heavy = np.where(np.arange(names.size) < 5, 500.0, 1.0)
    draw = lambda size: rng.choice(names, size, p=heavy / heavy.sum())  # noqa: E731
    p_values = [apart(draw(60_000), draw(20_000)).p_value for _ in range(5)]
    assert min(p_values) > 0.05
    assert apart(draw(60_000), np.repeat(names[:5], 4_000)).p_value < 1e-6


def test_p_values_of_equal_samples_are_no_smaller_than_they_say() -> None:
    rng = np.random.default_rng(5)
    table = {
        "number": rng.normal(size=20_000),
        "discrete": rng.poisson(3, 20_000),
        "text": rng.choice([f"{n}" for n in range(40)], 20_000, p=np.arange(1, 41) / np.arange(1, 41).sum()),
    }
    for name, values in table.items():
        reference = profiled(values)
        p_values = np.array([compared(reference, profiled(rng.choice(values, 500))).p_value for _ in range(200)])
        for level in (0.05, 0.2):
            assert (p_values < level).mean() < level + 3 * np.sqrt(level / 200), name


def test_the_index_is_that_of_deciles() -> None:
    rng = np.random.default_rng(6)
    left, right = rng.normal(size=50_000), rng.normal(0.25, 1, 50_000)
    edges = np.quantile(left, np.arange(1, 10) / 10)
    shares = [np.bincount(np.searchsorted(edges, side), minlength=10) / side.size for side in (left, right)]
    expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert apart(left, right).psi == pytest.approx(expected, abs=0.003)


def test_false_discovery_rates_are_those_of_scipy() -> None:
    p_values = np.random.default_rng(7).random(50) ** 3
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert benjamini_hochberg(np.array([])).size == 0
