from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from pipelines.data.sources.times import timed
from pipelines.errors import DataError


def times_of(values: list[object], type: pa.DataType | None = None) -> pa.ChunkedArray:
    table = pa.table({"row": range(len(values)), "time": pa.array(values, type)})
    return timed(table.to_reader(max_chunksize=2), "time", "a table").read_all()["time"]


def test_text_without_a_zone_becomes_a_timestamp_without_a_zone() -> None:
    times = times_of(["2013-01-01", None, "2013-01-01T12:30:00", "2013-01-01 12:30:00.123456789"])

    assert times.type == pa.timestamp("us")
    assert times.to_pylist() == [
        datetime(2013, 1, 1),
        None,
        datetime(2013, 1, 1, 12, 30),
        datetime(2013, 1, 1, 12, 30, 0, 123456),
    ]


def test_text_with_zones_becomes_utc() -> None:
    times = times_of([None, None, None, "2013-01-01T12:00:00+02:00", "2013-01-01T12:00:00Z"])

    assert times.type == pa.timestamp("us", "UTC")
    assert times.to_pylist()[3:] == [datetime(2013, 1, 1, 10, tzinfo=UTC), datetime(2013, 1, 1, 12, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2013-01-01T12:00:00Z", "2013-01-01T12:00:00"], "expected a time with a zone"),
        (["2013-01-01T12:00:00", "2013-01-01", "2013-01-01T12:00:00+02:00"], "expected a time without a zone"),
    ],
)
def test_mixed_zones_are_refused_with_the_first_value_that_differs(values: list[object], expected: str) -> None:
    with pytest.raises(DataError, match=f"'time' of a table mixes times with and without a zone: .*{expected}"):
        times_of(values)


def test_text_that_is_no_time_is_refused_with_its_value() -> None:
    with pytest.raises(DataError, match="found '31/01/2013', expected an ISO 8601 time"):
        times_of(["2013-01-01", "31/01/2013"])


def test_a_column_of_numbers_is_no_time() -> None:
    with pytest.raises(DataError, match=r"'time' of a table has type int64; expected a date"):
        times_of([1, 2])


def test_timestamps_come_to_microseconds_and_utc_and_dates_stay() -> None:
    assert times_of([1_234_567], pa.timestamp("ns")).type == pa.timestamp("us")
    assert times_of([1], pa.timestamp("s", "Europe/Paris")).type == pa.timestamp("us", "UTC")
    assert times_of([date(2013, 1, 1)]).type == pa.date32()


def test_a_column_without_any_time_passes_as_empty() -> None:
    assert times_of([None, None]).to_pylist() == [None, None]
