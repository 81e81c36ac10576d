"""Cut a stream of rows into one Parquet file a period, in bounded memory and in one pass.

Rows of a period wait until they fill a row group, which is then written. What waits in all periods together is capped:
above the cap it moves to a scratch file and comes back when its turn is there. A period's bytes depend only on its own
rows and their order: not on the batches they came in, the cap, the number of threads, or the other periods.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter
from pipelines.data.periods import periods_of
from pipelines.data.types import storable
from pipelines.spec.source import PartitionBy

MEMORY_BYTES = 256 << 20  # cap on the rows that wait in all periods together
BYTES_A_COLUMN = 300  # what Arrow's own bookkeeping takes for one column of one piece, however few its rows
MOST_OPEN_FILES = 200  # well below the usual limit of 1,024 a process


@dataclass
class Period:
    """The rows of one period: those in the file, then those in the scratch file, then those that wait in memory."""

    path: Path
    num_rows: int = 0
    waiting: list[pa.RecordBatch] = field(default_factory=list)
    spilled: list[tuple[int, int]] = field(default_factory=list)
    num_unwritten: int = 0
    writer: ParquetWriter | None = None
    last_write: Future[None] | None = None


def cut(
    reader: pa.RecordBatchReader,
    folder: Path,
    time_column: str | None,
    by: PartitionBy,
    threads: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> dict[int, Period]:
    """Write the rows of `reader` to one Parquet file a period and return the periods by number, in order.

    Args:
        reader: Rows in any order; their order within a period is kept.
        folder: An empty folder for the files.
        time_column: A date or timestamp column; not needed where `by` is 'none'.
        by: Length of a period.
        threads: Writers at work at once; one a core where left out.
        memory_bytes: Cap on the rows that wait. Row groups being written and the reader's own memory come on top.

    Raises:
        DataError: If Parquet has no type for a column.
        OSError: If the folder's disk is full or cannot be written.
    """
    schema = storable(reader.schema)
    with ThreadPoolExecutor(threads or pa.cpu_count()) as pool, tempfile.TemporaryFile(dir=folder) as scratch:
        cutter = _Cutter(folder, schema, pool, scratch, memory_bytes)
        for batch in reader:
            times = None if time_column is None else batch.column(time_column)
            rows = batch if batch.schema == schema else batch.cast(schema, safe=False)
            for period, piece in _pieces(rows, times, by):
                cutter.add(period, piece)
        return cutter.finish()


class _Cutter:
    def __init__(
        self, folder: Path, schema: pa.Schema, pool: ThreadPoolExecutor, scratch: BinaryIO, memory_bytes: int
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._pool = pool
        self._scratch = scratch
        self._memory_bytes = memory_bytes
        self._waiting_bytes = 0
        self._num_open = 0
        self._periods: dict[int, Period] = {}

    def add(self, number: int, piece: pa.RecordBatch) -> None:
        period = self._periods.get(number)
        if period is None:
            period = self._periods[number] = Period(self._folder / f"{len(self._periods)}.parquet")
        period.waiting.append(piece)
        period.num_rows += piece.num_rows
        period.num_unwritten += piece.num_rows
        self._waiting_bytes += self._size(piece)
        if period.num_unwritten >= ROW_GROUP_ROWS and self._may_write(period):
            self._write_whole_groups(period)
        if self._waiting_bytes > self._memory_bytes:
            self._spill()

    def finish(self) -> dict[int, Period]:
        ordered = {number: self._periods[number] for number in sorted(self._periods)}
        for result in [self._pool.submit(self._write_rest, period) for period in ordered.values()]:
            result.result()
        return ordered

    def _may_write(self, period: Period) -> bool:
        if period.writer is None and self._num_open < MOST_OPEN_FILES:
            period.writer = ParquetWriter(period.path, self._schema)
            self._num_open += 1
        return period.writer is not None

    def _write_whole_groups(self, period: Period) -> None:
        table = pa.concat_tables([*self._spilled(period), pa.Table.from_batches(period.waiting, self._schema)])
        self._waiting_bytes -= sum(map(self._size, period.waiting))
        num_whole = table.num_rows - table.num_rows % ROW_GROUP_ROWS
        period.spilled = []
        period.waiting = [_owned(rest) for rest in table.slice(num_whole).to_batches()]
        period.num_unwritten = table.num_rows - num_whole
        self._waiting_bytes += sum(map(self._size, period.waiting))
        if period.last_write is not None:
            period.last_write.result()  # keeps the row groups in order, and no more than one a period under way
        assert period.writer is not None
        period.last_write = self._pool.submit(period.writer.write, table.slice(0, num_whole))

    def _write_rest(self, period: Period) -> None:
        if period.last_write is not None:
            period.last_write.result()
        if period.writer is None:
            period.writer = ParquetWriter(period.path, self._schema)
        with period.writer as writer:
            for table in self._spilled(period):
                writer.write(table)
            for batch in period.waiting:
                writer.write(batch)
        period.waiting, period.spilled = [], []

    def _spill(self) -> None:
        for period in self._periods.values():
            if period.waiting:
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, self._schema) as stream:
                    stream.write_table(pa.Table.from_batches(period.waiting).combine_chunks())
                start = self._scratch.seek(0, os.SEEK_END)
                period.spilled.append((start, self._scratch.write(sink.getvalue())))
                period.waiting = []
        self._scratch.flush()
        self._waiting_bytes = 0

    def _spilled(self, period: Period) -> Iterator[pa.Table]:
        for start, length in period.spilled:
            yield pa.ipc.open_stream(os.pread(self._scratch.fileno(), length, start)).read_all()

    def _size(self, piece: pa.RecordBatch) -> int:
        size: int = piece.nbytes + BYTES_A_COLUMN * piece.num_columns
        return size


def _pieces(rows: pa.RecordBatch, times: pa.Array | None, by: PartitionBy) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Give the rows of each period in their order.

    What is less than half of its batch is a copy, so that a few rows that wait never keep much else in memory.
    """
    if not rows.num_rows:
        return
    if times is None or by == "none":
        yield 0, rows
        return
    periods = periods_of(times, by)
    if periods[0] == periods[-1] and (periods == periods[0]).all():
        yield int(periods[0]), rows
        return
    order = np.argsort(periods, kind="stable")
    ordered = periods[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ordered)], strict=True):
        chosen = order[start:end]
        if 2 * len(chosen) >= len(order) and chosen[-1] - chosen[0] == len(chosen) - 1:
            yield int(ordered[start]), rows.slice(int(chosen[0]), len(chosen))
        else:
            yield int(ordered[start]), rows.take(pa.array(chosen))


def _owned(rest: pa.RecordBatch) -> pa.RecordBatch:
    """Return a copy, so that a few rows that stay do not keep a whole batch in memory."""
    return rest.take(pa.array(np.arange(rest.num_rows)))
