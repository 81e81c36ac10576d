from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from pipelines.data.sources.window import in_window
from pipelines.data.windows import bounds
from pipelines.errors import DataError, UsageError
from pipelines.records import Window

JANUARY = Window(start="2013-01-01", end="2013-02-01")


def reader(times: pa.Array) -> pa.RecordBatchReader:
    return pa.table({"time": times, "row": range(len(times))}).to_reader(max_chunksize=2)


def rows_in(window: Window, times: pa.Array) -> list[int]:
    return in_window(reader(times), "time", window, "a table").read_all()["row"].to_pylist()


def test_the_start_is_inside_and_the_end_is_outside() -> None:
    times = pa.array(
        [datetime(2012, 12, 31, 23), datetime(2013, 1, 1), datetime(2013, 1, 31, 23), datetime(2013, 2, 1)]
    )

    assert rows_in(JANUARY, times) == [1, 2]


def test_dates_and_times_in_a_zone_are_compared_with_the_same_bounds() -> None:
    dates = pa.array([date(2012, 12, 31), date(2013, 1, 1), date(2013, 1, 31), date(2013, 2, 1)])
    zoned = pa.array(
        [datetime(2012, 12, 31, 23, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")
    )

    assert rows_in(JANUARY, dates) == [1, 2]
    assert rows_in(JANUARY, zoned) == [1]


def test_a_row_without_a_time_is_kept_in_every_window() -> None:
    assert rows_in(JANUARY, pa.array([None, datetime(2013, 1, 5), None, datetime(2014, 1, 1)])) == [0, 1, 2]


def test_an_open_bound_takes_all_on_its_side() -> None:
    times = pa.array([datetime(2012, 1, 1), datetime(2013, 1, 1), datetime(2014, 1, 1)])

    assert rows_in(Window(), times) == [0, 1, 2]
    assert rows_in(Window(start="2013-01-01"), times) == [1, 2]
    assert rows_in(Window(end="2013-01-01"), times) == [0]


def test_a_window_with_no_rows_says_there_is_no_new_data_and_where_the_rows_are() -> None:
    with pytest.raises(
        DataError, match=r"None of the 2 rows of a table .*2014-03-01.*2014-05-01.*There is no new data"
    ):
        rows_in(JANUARY, pa.array([datetime(2014, 5, 1), datetime(2014, 3, 1)]))


def test_rows_without_a_time_alone_are_no_new_data() -> None:
    with pytest.raises(DataError, match="There is no new data"):
        rows_in(JANUARY, pa.array([None, None], pa.timestamp("us")))


def test_a_source_with_no_rows_at_all_says_so() -> None:
    with pytest.raises(DataError, match="a table gave no rows from 2013-01-01 to before 2013-02-01"):
        rows_in(JANUARY, pa.array([], pa.timestamp("us")))


def test_a_bounded_window_needs_a_time_column() -> None:
    with pytest.raises(UsageError, match="a table has no time column"):
        in_window(reader(pa.array([1])), None, JANUARY, "a table")


def test_a_window_that_is_no_time_or_holds_none_is_refused() -> None:
    with pytest.raises(UsageError, match="window's start is 'soon'"):
        bounds(Window(start="soon"))
    with pytest.raises(UsageError, match="start must lie before the end"):
        bounds(Window(start="2013-02-01", end="2013-02-01"))
