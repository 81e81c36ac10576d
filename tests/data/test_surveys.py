"""What cannot be cut is refused before any row is moved, with the column, the count and the partition."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.surveys import Survey, survey
from pipelines.errors import DataError

DAY = dt.datetime(2013, 1, 1)


def table(num_rows: int = 4, start: int = 0, **columns: pa.Array) -> pa.Table:
    values = {
        "at": pa.array([DAY + dt.timedelta(days=start + number) for number in range(num_rows)], pa.timestamp("us")),
        "x": pa.array(range(num_rows), pa.int64()),
        "y": pa.array([number % 2 for number in range(num_rows)], pa.int64()),
    }
    return pa.table({**values, **columns})


def surveyed(folder: Path, time_column: str | None = "at", **tables: pa.Table) -> Survey:
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, path in paths.items():
        pq.write_table(tables[name], path)
    return survey(paths, ["x", "y", "at"], "y", time_column)


def test_rows_and_times_are_known_by_partition(tmp_path) -> None:
    found = surveyed(tmp_path, a=table(4), b=table(3, start=4))
    assert found.num_rows == {"a": 4, "b": 3}
    assert dt.date(1970, 1, 1) + dt.timedelta(days=found.last_day) == dt.date(2013, 1, 7)


def test_a_column_may_be_wider_in_one_partition_than_in_another(tmp_path) -> None:
    narrow, empty = pa.array([1, 2, 3, 4], pa.int16()), pa.nulls(4)
    found = surveyed(tmp_path, a=table(x=narrow), b=table(), c=table(x=empty), d=table(x=pa.array([0.5] * 4)))
    assert found.schema.field("x").type == pa.float64()


def test_the_order_of_columns_may_differ(tmp_path) -> None:
    assert surveyed(tmp_path, a=table(), b=table().select(["y", "x", "at"])).num_rows == {"a": 4, "b": 4}


def test_times_before_1970_and_dates_and_nanoseconds_are_times(tmp_path) -> None:
    old = pa.array([dt.datetime(1960, 3, 1, 23, 59)] * 4, pa.timestamp("ns"))
    assert surveyed(tmp_path, a=table(at=old)).last_day == (dt.date(1960, 3, 1) - dt.date(1970, 1, 1)).days
    dates = pa.array([dt.date(1960, 3, 1)] * 4)
    assert surveyed(tmp_path, a=table(at=dates)).last_day == (dt.date(1960, 3, 1) - dt.date(1970, 1, 1)).days


def refused(folder: Path, *parts: str, **tables: pa.Table) -> None:
    with pytest.raises(DataError) as caught:
        surveyed(folder, **tables)
    for part in (*parts, "No snapshot was taken."):
        assert part in str(caught.value)


def test_no_partition_at_all_is_refused(tmp_path) -> None:
    refused(tmp_path, "no partitions in the window: 0 rows")


def test_partitions_without_a_row_are_refused(tmp_path) -> None:
    refused(tmp_path, "All 2 partitions are empty", a=table(0), b=table(0))


def test_a_missing_column_is_named_with_the_nearest_there_is(tmp_path) -> None:
    refused(tmp_path, "Column 'x' of the model spec is not in the data", a=table().rename_columns(["at", "z", "y"]))
    refused(tmp_path, "Did you mean 'at_'?", a=table().rename_columns(["at_", "x", "y"]))


def test_a_column_that_only_one_partition_has_is_named(tmp_path) -> None:
    refused(tmp_path, "Partitions 'a' and 'b' have other columns: ['x']", a=table(), b=table().drop_columns("x"))


@pytest.mark.parametrize(
    "other", [pa.array(["1"] * 4), pa.array([True] * 4), pa.array([dt.datetime(2013, 1, 1)] * 4, pa.timestamp("us"))]
)
def test_a_column_of_another_type_in_one_partition_is_named(tmp_path, other: pa.Array) -> None:
    refused(tmp_path, "Partition 'b' has a column of another type", "x", a=table(), b=table(x=other))


def test_mixed_time_zones_are_refused(tmp_path) -> None:
    zoned = table()["at"].cast(pa.timestamp("us", "UTC"))
    refused(tmp_path, "Partition 'b' has a column of another type", a=table(), b=table(at=zoned))


def test_a_missing_target_is_counted_and_the_remedy_named(tmp_path) -> None:
    missing = pa.array([None, 1, 0, 1])
    refused(
        tmp_path,
        "Target 'y' is missing in 1 of 8 rows (12.5%; b: 1)",
        "Expect it not to be null",
        a=table(),
        b=table(y=missing),
    )


def test_a_target_that_is_nan_or_infinite_is_missing(tmp_path) -> None:
    refused(tmp_path, "missing in 2 of 4 rows (50.0%", a=table(y=pa.array([float("nan"), float("inf"), 1.0, 0.0])))


def test_a_missing_time_is_neither_before_nor_after(tmp_path) -> None:
    times = pa.array([None, *table()["at"].to_pylist()[1:]], pa.timestamp("us"))
    refused(tmp_path, "Time column 'at' is missing in 1 of 4 rows", "partition 'a'", a=table(at=times))


def test_a_time_column_that_holds_no_time_is_refused(tmp_path) -> None:
    refused(tmp_path, "Time column 'at' is of type string", a=table(at=pa.array(["2013-01-01"] * 4)))


def test_without_a_time_column_times_are_not_looked_at(tmp_path) -> None:
    assert surveyed(tmp_path, time_column=None, a=table(at=pa.nulls(4))).times == {}
