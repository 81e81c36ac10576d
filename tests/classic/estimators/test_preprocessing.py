from __future__ import annotations

import datetime as dt
import decimal
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.errors import DataError

DAY = dt.datetime(2013, 1, 2, 3, 4)


def read(**columns: Any) -> tuple[TableReader, np.ndarray]:
    table = pa.table(columns)
    reader = TableReader(list(columns))
    return reader, reader.fit_transform(table)


def test_numbers_stay_and_what_is_missing_or_infinite_becomes_nan() -> None:
    _, matrix = read(a=[1.5, None, float("inf"), float("-inf"), float("nan")])
    np.testing.assert_array_equal(matrix[:, 0], [1.5, np.nan, np.nan, np.nan, np.nan])


def test_a_number_that_float32_cannot_hold_is_bounded() -> None:
    _, matrix = read(a=[1e300, -1e300, 0.0])
    assert np.isfinite(np.float32(matrix)).all()


def test_booleans_decimals_and_integers_are_numbers() -> None:
    _, matrix = read(
        b=pa.array([True, False, None]), d=pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2")]), i=[1, 2, 3]
    )
    np.testing.assert_array_equal(matrix, [[1, 1.25, 1], [0, np.nan, 2], [np.nan, 2, 3]])


def test_categories_become_codes_by_frequency_and_then_by_text() -> None:
    reader, matrix = read(c=["b", "a", "c", "c", "c", "a", "b", None])
    assert reader.vocabulary_ == {"c": ["c", "a", "b"]}
    assert reader.levels_ == [3]
    np.testing.assert_array_equal(matrix[:, 0], [2, 1, 0, 0, 0, 1, 2, np.nan])


def test_a_level_of_one_row_and_a_level_never_seen_share_the_code_after_the_last() -> None:
    reader, matrix = read(c=["a", "a", "b", "b", "once"])
    assert matrix[4, 0] == 2
    assert reader.transform(pa.table({"c": ["never seen", "b", None, ""]}))[:, 0].tolist()[:2] == [2, 1]


def test_empty_text_counts_as_missing() -> None:
    _, matrix = read(c=["a", "a", "", "b", "b"])
    assert np.isnan(matrix[2, 0])


def test_dates_become_parts_and_parts_that_do_not_vary_are_left_out() -> None:
    moments = [DAY + dt.timedelta(hours=hours) for hours in (0, 30, 60)]
    reader, matrix = read(t=pa.array(moments, pa.timestamp("ms")), d=[moment.date() for moment in moments])
    assert reader.columns_ == ["t.days", "t.day", "t.weekday", "t.hour", "d.days", "d.day", "d.weekday"]
    assert reader.left_out_ == ["t.month", "t.minute", "d.month"]
    np.testing.assert_array_equal(matrix[:, reader.columns_.index("t.hour")], [3, 9, 15])


def test_a_time_zone_keeps_its_wall_clock() -> None:
    moments = pa.array([DAY, DAY + dt.timedelta(hours=1)], pa.timestamp("us", tz="America/New_York"))
    reader, matrix = read(t=moments)
    assert matrix[:, reader.columns_.index("t.hour")].tolist() == [22, 23]  # 03:04 and 04:04 in UTC


def test_durations_and_times_are_seconds() -> None:
    _, matrix = read(d=[dt.timedelta(minutes=1), dt.timedelta(seconds=2)], t=[dt.time(1), dt.time(2)])
    assert matrix.tolist() == [[60, 3600], [2, 7200]]


def test_constant_null_and_never_repeating_text_columns_are_left_out() -> None:
    reader, matrix = read(
        x=[1, 2, 3], k=[7, 7, 7], n=pa.nulls(3), z=pa.array([None] * 3, pa.float64()), t=["p", "q", "r"]
    )
    assert reader.columns_ == ["x"]
    assert reader.left_out_ == ["k", "n", "z", "t"]
    assert matrix.shape == (3, 1)


def test_a_column_that_is_sometimes_missing_and_else_constant_varies() -> None:
    reader, _ = read(k=[7, None, 7])
    assert reader.columns_ == ["k"]


def test_features_that_never_vary_are_refused() -> None:
    with pytest.raises(DataError, match="None of the 2 features varies over the 3 training rows"):
        read(k=[7, 7, 7], n=pa.nulls(3))


def test_a_feature_that_is_absent_is_named() -> None:
    reader, _ = read(a=[1, 2], b=[1, 2])
    with pytest.raises(DataError, match=r"lacks the features 'b'; its columns are a, c\. Nothing was predicted"):
        reader.transform(pa.table({"a": [1], "c": [1]}))


def test_a_feature_that_stands_twice_is_refused() -> None:
    doubled = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"])
    with pytest.raises(DataError, match="more than one column for the features 'a'"):
        TableReader(["a"]).fit(doubled)


def test_numbers_that_come_as_text_are_read_and_other_text_is_refused() -> None:
    reader, _ = read(a=[1, 2])
    assert reader.transform(pa.table({"a": ["3.5"]})).tolist() == [[3.5]]
    with pytest.raises(DataError, match="Feature 'a' was a number when the model was trained; now it has type string"):
        reader.transform(pa.table({"a": ["late"]}))


def test_a_date_that_comes_as_number_with_fractions_is_refused() -> None:
    reader, _ = read(d=[DAY, DAY + dt.timedelta(days=1)])
    with pytest.raises(DataError, match="Feature 'd' was a timestamp"):
        reader.transform(pa.table({"d": [1.5]}))


def test_a_nested_column_is_refused() -> None:
    with pytest.raises(DataError, match="Feature 'a' has type list"):
        read(a=[[1], [2]])


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.timestamp("us"), pa.bool_()])
def test_a_column_of_nulls_is_answered_whatever_it_was_in_training(kind: pa.DataType) -> None:
    values = {pa.float64(): [1.0, 2.0], pa.string(): ["a", "a"], pa.bool_(): [True, False]}.get(kind, [DAY, DAY])
    reader = TableReader(["x", "y"])
    reader.fit(pa.table({"x": pa.array([*values, None], kind), "y": [1, 2, 3]}))
    assert np.isnan(reader.transform(pa.table({"x": pa.nulls(2), "y": [1, 2]}))[:, 0]).all()


def test_a_frame_and_a_dictionary_column_read_as_the_table_does() -> None:
    table = pa.table(
        {"c": ["a", "a", "b", "b", None], "n": [1.0, None, 3.0, 4.0, 5.0], "t": [DAY, None, DAY, DAY, DAY]}
    )
    reader = TableReader(["c", "n", "t"])
    matrix = reader.fit_transform(table)
    coded = table.set_column(0, "c", table["c"].dictionary_encode())
    for other in (table.to_pandas(), coded, coded.to_pandas(), table.to_batches()[0]):
        np.testing.assert_array_equal(reader.transform(other), matrix)


def test_a_frame_whose_column_mixes_types_is_refused() -> None:
    with pytest.raises(DataError, match="mixes types"):
        TableReader(["a"]).fit(pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}))


def test_ten_thousand_levels_take_less_than_a_second() -> None:
    levels = [f"level {number % 10_000}" for number in range(50_000)]
    started = time.process_time()
    reader, matrix = read(c=levels)
    assert time.process_time() - started < 1.0
    assert reader.levels_ == [10_000]
    assert len(np.unique(matrix)) == 10_000
