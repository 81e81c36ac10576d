"""Turn a time column that came as text into timestamps, all with a zone or all without one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import DataError

WITHOUT_ZONE = pa.timestamp("us")
WITH_ZONE = pa.timestamp("us", tz="UTC")
MOST_ROWS_WITHOUT_A_TIME = 1_000_000  # held until the first row with a time tells the column's type

_ZONE = re.compile(r":\d\d(\.\d+)?\s?([Zz]|[+-]\d\d(:?\d\d)?)$")


def timed(reader: pa.RecordBatchReader, time_column: str, origin: str) -> pa.RecordBatchReader:
    """Return the rows of `reader` with `time_column` as a date or a timestamp in microseconds, in UTC if it has a zone.

    Text must be ISO 8601, and either every value names a zone or none does.

    Raises:
        DataError: If the column has another type; while reading, if a value is no time, or only some name a zone.
    """
    position = reader.schema.get_field_index(time_column)
    found = reader.schema.field(position).type
    if pa.types.is_timestamp(found):
        target = WITHOUT_ZONE if found.tz is None else WITH_ZONE
        batches = (_replaced(batch, position, batch.column(position).cast(target, safe=False)) for batch in reader)
    elif pa.types.is_date(found):
        target = pa.date32()
        batches = (_replaced(batch, position, batch.column(position).cast(target)) for batch in reader)
    elif pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_null(found):
        waiting, first = _until_first_time(reader, position, time_column, origin)
        target = WITH_ZONE if first is not None and _ZONE.search(first) else WITHOUT_ZONE
        batches = (
            _replaced(batch, position, _parsed(batch.column(position), target, time_column, origin))
            for batch in _chained(waiting, reader)
        )
    else:
        raise DataError(
            f"Time column {time_column!r} of {origin} has type {found}; expected a date, a timestamp or ISO 8601 text. "
            "Nothing was ingested."
        )
    return pa.RecordBatchReader.from_batches(reader.schema.set(position, pa.field(time_column, target)), batches)


def _until_first_time(
    reader: pa.RecordBatchReader, position: int, time_column: str, origin: str
) -> tuple[list[pa.RecordBatch], str | None]:
    waiting: list[pa.RecordBatch] = []
    num_rows = 0
    for batch in reader:
        waiting.append(batch)
        num_rows += batch.num_rows
        known = batch.column(position).drop_null()
        if len(known):
            return waiting, known[0].as_py()
        if num_rows > MOST_ROWS_WITHOUT_A_TIME:
            raise DataError(
                f"Time column {time_column!r} of {origin} is empty in its first {num_rows} rows; allowed are "
                f"{MOST_ROWS_WITHOUT_A_TIME}. Nothing was ingested."
            )
    return waiting, None


def _chained(waiting: list[pa.RecordBatch], reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while waiting:
        yield waiting.pop(0)
    yield from reader


def _replaced(batch: pa.RecordBatch, position: int, times: pa.Array) -> pa.RecordBatch:
    return batch.set_column(position, pa.field(batch.schema.names[position], times.type), times)


def _parsed(text: pa.Array, target: pa.DataType, time_column: str, origin: str) -> pa.Array:
    try:
        return text.cast(target)
    except pa.ArrowInvalid:
        pass  # more than six digits of a second, or a value that is no such time
    try:
        return text.cast(pa.timestamp("ns", tz=target.tz)).cast(target, safe=False)
    except pa.ArrowInvalid as error:
        raise _refused(text, target, time_column, origin) from error


def _refused(text: pa.Array, target: pa.DataType, time_column: str, origin: str) -> DataError:
    value = next(value for value in text.drop_null().to_pylist() if not _fits(value, target))
    other = WITHOUT_ZONE if target.tz else WITH_ZONE
    if _fits(value, other):
        reason = "mixes times with and without a zone"
        expected = "with a zone" if target.tz else "without a zone"
        return DataError(
            f"Time column {time_column!r} of {origin} {reason}: found {value!r}, expected a time {expected} like those "
            "before it. Nothing was ingested."
        )
    return DataError(
        f"Time column {time_column!r} of {origin}: found {value!r}, expected an ISO 8601 time such as "
        "2013-01-31T12:00:00. Nothing was ingested."
    )


def _fits(value: str, target: pa.DataType) -> bool:
    try:
        pc.cast(pa.scalar(value), pa.timestamp("ns", tz=target.tz))
    except pa.ArrowInvalid:
        return False
    return True
