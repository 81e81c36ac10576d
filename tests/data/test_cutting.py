from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.cutting import cut
from pipelines.data.parquet import ROW_GROUP_ROWS
from pipelines.store.verified import file_sha256

NUM_ROWS = 3 * ROW_GROUP_ROWS + 1000
TINY = 1 << 16


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Rows of two months in no order of time, one in a hundred without a time; January has more than two row groups."""
    generator = np.random.default_rng(0)
    days = generator.choice([0, 5, 30, 31, 40], NUM_ROWS, p=[0.3, 0.3, 0.2, 0.1, 0.1])
    times = (np.datetime64("2013-01-01", "us") + days.astype("m8[D]")).astype("M8[us]")
    return pa.table(
        {
            "row": np.arange(NUM_ROWS),
            "time": pa.array(times, mask=generator.random(NUM_ROWS) < 0.01),
            "carrier": pa.array(generator.choice(["AA", "UA", "B6"], NUM_ROWS)),
        }
    )


def hashes(
    rows: pa.Table, folder: Path, batch_rows: int = 50_000, threads: int | None = None, memory_bytes: int = 1 << 28
) -> dict[int, str]:
    folder.mkdir()
    reader = rows.to_reader(max_chunksize=batch_rows)
    periods = cut(reader, folder, "time", "month", threads, memory_bytes)
    return {number: file_sha256(period.path) for number, period in periods.items()}


def test_every_row_is_in_the_file_of_its_period_once_and_in_order(rows: pa.Table, tmp_path: Path) -> None:
    periods = cut(rows.to_reader(max_chunksize=50_000), tmp_path, "time", "month")
    months = np.asarray(rows["time"]).astype("M8[M]")

    assert len(periods) == 3
    for number, period in periods.items():
        written = pq.read_table(period.path)
        expected = rows.filter(pa.array(months.view(np.int64) == number))
        assert written.equals(expected)
        assert period.num_rows == expected.num_rows


def test_row_groups_are_full_but_for_the_last(rows: pa.Table, tmp_path: Path) -> None:
    january = cut(rows.to_reader(), tmp_path, "time", "month")[516]
    metadata = pq.read_metadata(january.path)

    assert metadata.num_row_groups == 3
    assert [metadata.row_group(group).num_rows for group in range(2)] == [ROW_GROUP_ROWS] * 2


@pytest.mark.parametrize(
    ("batch_rows", "threads", "memory_bytes"),
    [(7_000, 2, 1 << 28), (NUM_ROWS, 2, 1 << 28), (50_000, 1, 1 << 28), (50_000, 2, TINY), (7_000, 1, TINY)],
    ids=["small batches", "one batch", "one thread", "spilled", "all of it"],
)
def test_the_bytes_do_not_depend_on_batches_threads_or_memory(
    rows: pa.Table, tmp_path: Path, batch_rows: int, threads: int, memory_bytes: int
) -> None:
    expected = hashes(rows, tmp_path / "expected")

    assert hashes(rows, tmp_path / "found", batch_rows, threads, memory_bytes) == expected


def test_the_bytes_of_a_period_do_not_depend_on_the_other_periods(rows: pa.Table, tmp_path: Path) -> None:
    months = np.asarray(rows["time"]).astype("M8[M]").view(np.int64)
    together = hashes(rows, tmp_path / "together")

    for number in together:
        alone = rows.filter(pa.array(months == number))
        assert hashes(alone, tmp_path / f"alone{number}") == {number: together[number]}


def test_the_rows_that_wait_are_bounded_however_many_periods_there_are(tmp_path: Path) -> None:
    num_batches, batch_rows, cap = 60, 20_000, 4 << 20
    generator = np.random.default_rng(0)
    allocated = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(num_batches):
            times = generator.integers(0, 200, batch_rows).astype("M8[D]")
            yield pa.record_batch({"time": times.astype("M8[us]"), "text": pa.array(["x" * 50] * batch_rows)})
            allocated.append(pa.total_allocated_bytes())

    first = next(batches())
    before = pa.total_allocated_bytes()
    periods = cut(pa.RecordBatchReader.from_batches(first.schema, batches()), tmp_path, "time", "day", 1, cap)

    assert sum(period.num_rows for period in periods.values()) == num_batches * batch_rows
    assert max(allocated) - before < 2 * cap < num_batches * first.nbytes / 4


def test_values_at_the_edges_pass_unchanged(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "time": [datetime(2013, 1, 1), datetime(2013, 2, 1), datetime(2013, 2, 2)],
            "number": [math.inf, -math.inf, math.nan],
            "nothing": pa.nulls(3),
        }
    )
    january, february = cut(rows.to_reader(), tmp_path, "time", "month").values()

    assert pq.read_table(january.path).to_pylist() == [
        {"time": datetime(2013, 1, 1), "number": math.inf, "nothing": None}
    ]
    assert math.isnan(pq.read_table(february.path)["number"][1].as_py())


def test_one_partition_needs_no_time_column(tmp_path: Path) -> None:
    (period,) = cut(pa.table({"row": [3, 1, 2]}).to_reader(), tmp_path, None, "none").values()

    assert pq.read_table(period.path)["row"].to_pylist() == [3, 1, 2]


def test_every_type_comes_back_as_it_was(tmp_path: Path) -> None:
    moment = datetime(2013, 1, 1, 12, 30, 15, 123456)
    values = {
        **{str(type_): pa.array([1, None, 100], type_) for type_ in (pa.int8(), pa.uint16(), pa.int32(), pa.uint64())},
        "extremes": pa.array([-(2**63), None, 2**63 - 1], pa.int64()),
        "zoned": pa.array([moment, None, moment], pa.timestamp("us", "UTC")),
        "date": pa.array([moment.date(), None, moment.date()]),
        "time": pa.array([moment.time(), None, moment.time()]),
        "decimal": pa.array([1, None, 2]).cast(pa.decimal128(21, 2)),
        "flag": pa.array([True, None, False]),
        "bytes": pa.array([b"\0", None, b""]),
        "numbers": pa.array([[1, 2], None, []], pa.list_(pa.int64())),
        "parts": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    }
    rows = pa.table(values)
    (period,) = cut(rows.to_reader(), tmp_path, None, "none").values()

    assert pq.read_table(period.path).equals(rows)
