from __future__ import annotations

import io
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import DataError
from pipelines.records import Window

Read = Callable[..., pa.Table]
NEW_YEAR = datetime(2013, 1, 1)


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"time": [NEW_YEAR] * len(next(iter(columns.values()))), **columns}), sink, **options)
    return sink.getvalue()


def test_values_come_as_they_are_stored(read: Read) -> None:
    table = read({"a.parquet": parquet({"delay": [1.5, math.inf], "carrier": ["AA", None], "late": [True, None]})})

    assert table.select(["delay", "carrier", "late"]).to_pydict() == {
        "delay": [1.5, math.inf],
        "carrier": ["AA", None],
        "late": [True, None],
    }


def test_a_column_of_nothing_but_nulls_takes_the_type_it_has_elsewhere(read: Read) -> None:
    files = {"a.parquet": parquet({"delay": pa.nulls(1)}), "b.parquet": parquet({"delay": [1.5]})}

    assert read(files)["delay"].to_pylist() == [None, 1.5]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_the_window_cuts_times_with_and_without_a_zone_and_keeps_rows_without_a_time(
    read: Read, zone: str | None
) -> None:
    moments = [datetime(2012, 12, 31), NEW_YEAR, None, datetime(2013, 2, 1)]
    content = parquet({"row": [0, 1, 2, 3], "time": pa.array(moments, pa.timestamp("ms", zone))})

    table = read({"a.parquet": content}, window=Window(start="2013-01-01", end="2013-02-01"))

    assert table["row"].to_pylist() == [1, 2]
    assert table["time"].to_pylist()[0] == NEW_YEAR.replace(tzinfo=UTC if zone else None)


def test_a_truncated_file_is_refused(read: Read) -> None:
    content = parquet({"delay": list(range(1000))})

    with pytest.raises(DataError, match=r"b\.parquet is no whole Parquet file"):
        read({"a.parquet": content, "b.parquet": content[:-10]})
    with pytest.raises(DataError, match=r"b\.parquet is empty"):
        read({"a.parquet": content, "b.parquet": b""})


def test_a_file_that_is_broken_in_the_middle_is_refused(read: Read) -> None:
    content = parquet({"delay": list(range(1000))}, compression="zstd")
    broken = content[:100] + bytes(len(content) // 2 - 100) + content[len(content) // 2 :]

    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        read({"a.parquet": broken})


def test_names_that_stand_twice_are_refused(read: Read) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([NEW_YEAR]), pa.array([1]), pa.array([2])], ["time", "x", "x"]), sink)

    with pytest.raises(DataError, match=r"a\.parquet has 2 columns whose names are the same"):
        read({"a.parquet": sink.getvalue()})


def test_files_with_other_columns_or_types_are_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.parquet lacks 'delay'; expected the columns of .*a\.parquet"):
        read({"a.parquet": parquet({"delay": [1], "x": [1]}), "b.parquet": parquet({"x": [1]})})


def test_a_column_of_another_type_is_refused(read: Read) -> None:
    with pytest.raises(
        DataError, match=r"b\.parquet, column 'delay': found text \(string\), expected number as in .*a\.pa"
    ):
        read({"a.parquet": parquet({"delay": [1]}), "b.parquet": parquet({"delay": ["late"]})})


def test_integers_of_one_file_and_doubles_of_another_are_numbers(read: Read) -> None:
    assert read({"a.parquet": parquet({"x": [1]}), "b.parquet": parquet({"x": [1.5]})})["x"].to_pylist() == [1.0, 1.5]


def test_a_file_with_no_rows_says_so(read: Read) -> None:
    with pytest.raises(DataError, match="gave no rows at any time"):
        read({"a.parquet": parquet({"delay": pa.array([], pa.int64())})})


def test_a_column_of_nothing_but_nulls_passes_on(read: Read) -> None:
    assert read({"a.parquet": parquet({"delay": pa.nulls(2)})})["delay"].to_pylist() == [None, None]
