"""Rows that differ only in how their columns go together are told from the reference; equal rows are not."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.data.profiling import profile_table
from pipelines.monitoring.column_drift import column_drift
from pipelines.monitoring.joint import area_and_variance, joint_columns, joint_drift
from pipelines.monitoring.sampling import PARTITION
from pipelines.spec.watching import Drift


def rows(num_rows: int, correlation: float = 0.0, seed: int = 0, shift: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, other = rng.normal(size=(2, num_rows))
    y = correlation * x + np.sqrt(1 - correlation**2) * other + shift
    city = rng.choice(["Oslo", "Köln", None], num_rows)
    return pa.table({"x": x, "y": y, "city": pa.array(city, pa.string()), "flag": rng.random(num_rows) < 0.5})


COLUMNS = ["x", "y", "city", "flag"]


def test_equal_rows_cannot_be_told_apart() -> None:
    found = [joint_drift(rows(1_500, seed=seed), rows(1_500, seed=seed + 100), COLUMNS, Drift()) for seed in range(4)]
    assert not any(one.drifted for one in found)
    assert all(abs(one.auc - 0.5) < 0.05 for one in found)


def test_a_shift_of_correlation_is_found_where_no_column_drifts() -> None:
    reference, new = rows(2_000), rows(2_000, correlation=0.8, seed=1)
    assert not any(one.drifted for one in column_drift(profile_table(reference), profile_table(new), Drift()))
    found = joint_drift(reference, new, COLUMNS, Drift())
    assert found.drifted
    assert 0.5 < found.low < found.auc < found.high


def test_the_same_rows_and_seed_give_the_same_answer() -> None:
    reference, new = rows(600), rows(600, correlation=0.5, seed=1)
    assert joint_drift(reference, new, COLUMNS, Drift()) == joint_drift(reference, new, COLUMNS, Drift())


def test_a_small_shift_is_not_drift_however_surely_it_is_there() -> None:
    reference, new = rows(20_000), rows(20_000, seed=1, shift=0.1)
    found = joint_drift(reference, new, COLUMNS, Drift())
    assert found.low > 0.5
    assert not found.drifted


def test_what_tells_one_training_partition_from_the_next_is_no_drift() -> None:
    months = [rows(800, seed=month, shift=0.5 * month) for month in range(3)]
    named = [one.append_column(PARTITION, pa.array([f"2013-0{n}"] * 800)) for n, one in enumerate(months)]
    reference, new = pa.concat_tables(named), rows(800, seed=9, shift=1.0)
    found = joint_drift(reference, new, COLUMNS, Drift())
    assert found.usual_auc > 0.6
    assert not found.drifted
    assert joint_drift(reference.drop_columns(PARTITION), new, COLUMNS, Drift()).drifted
    assert joint_drift(reference, rows(800, seed=9, shift=3.0), COLUMNS, Drift()).drifted


@pytest.mark.parametrize("num_rows", [0, 1, 199])
def test_too_few_rows_say_nothing(num_rows) -> None:
    found = joint_drift(rows(500), rows(500).slice(0, num_rows), COLUMNS, Drift())
    assert (found.auc, found.low, found.high, found.drifted, found.num_rows) == (None, None, None, False, num_rows)


def test_columns_that_cannot_be_compared_are_left_out() -> None:
    left = rows(300).append_column("list", pa.array([[1]] * 300)).append_column("changed", pa.array(["a"] * 300))
    right = rows(300, seed=1).append_column("list", pa.array([[2]] * 300)).append_column("changed", pa.array([1] * 300))
    found = joint_drift(left, right, [*COLUMNS, "list", "changed", "nowhere"], Drift())
    assert found.auc == joint_drift(left, right, COLUMNS, Drift()).auc
    assert joint_drift(left, right, ["list", "changed"], Drift()).auc is None


def test_times_dictionaries_nulls_infinities_and_many_categories_are_taken() -> None:
    rng = np.random.default_rng(0)

    def table(first: int) -> pa.Table:
        return pa.table(
            {
                "at": pa.array([dt.datetime(2013, 1, 1) + dt.timedelta(hours=first + n) for n in range(400)]),
                "day": pa.array([dt.date(2013, 1, 1 + n % 28) for n in range(400)]),
                "coded": pa.array(rng.choice(["a", "b"], 400)).dictionary_encode(),
                "many": pa.array([f"{n}" for n in rng.integers(0, 5_000, 400)]),
                "odd": pa.array(np.where(rng.random(400) < 0.2, np.inf, np.nan)),
                "none": pa.nulls(400),
            }
        )

    names = table(0).column_names
    assert joint_drift(table(0), table(400), names, Drift()).auc > 0.99  # the hours do not overlap
    assert not joint_drift(table(0), table(400), names[1:], Drift()).drifted
    assert joint_drift(table(0), table(400), ["odd", "none"], Drift()).auc is None


def test_columns_that_tell_the_period_are_left_out() -> None:
    assert joint_columns(["day", "x", "y"], {"day": 0.97, "x": 0.3}) == ["x", "y"]


def test_the_area_is_that_of_scikit_learn_and_its_variance_that_of_resampling() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(size=300).round(1), rng.normal(0.7, 1, 200).round(1)
    area, variance = area_and_variance(low, high)
    truth = np.repeat([0, 1], [300, 200])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([low, high])))
    drawn = [area_and_variance(rng.choice(low, 300), rng.choice(high, 200))[0] for _ in range(1_000)]
    assert variance == pytest.approx(np.var(drawn), rel=0.15)
