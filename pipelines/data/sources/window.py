"""Keep the rows whose time lies in the window, and those that have no time at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.windows import bounds, described
from pipelines.errors import NoRows, UsageError
from pipelines.records import Window


def in_window(
    reader: pa.RecordBatchReader, time_column: str | None, window: Window, origin: str
) -> pa.RecordBatchReader:
    """Return the rows of `reader` in `window`, without those of other times; batches keep their order.

    A row whose time is null belongs to no window. It is kept, since whoever checks the data must see it.

    Args:
        reader: Rows whose `time_column` is a date or a timestamp; one without a zone is compared with the bounds as is.
        time_column: Its name, or None where the rows have no time; the window must then be open.
        window: The span `[start, end)`.
        origin: What the rows came from, for messages.

    Raises:
        UsageError: If the window has a bound and the rows have no time.
        NoRows: While reading, if there is no row at all, or none with a time in the window.
    """
    start, end = bounds(window)
    if time_column is None and (start is not None or end is not None):
        raise UsageError(f"{origin} has no time column to find the rows {described(window)} by. Nothing was read.")
    return pa.RecordBatchReader.from_batches(reader.schema, _kept(reader, time_column, window, origin))


def _kept(
    reader: pa.RecordBatchReader, time_column: str | None, window: Window, origin: str
) -> Iterator[pa.RecordBatch]:
    start, end = bounds(window)
    num_read = num_dated = 0
    first = last = None
    for batch in reader:
        num_read += batch.num_rows
        if time_column is None or not batch.num_rows:
            yield batch
            continue
        times = batch.column(time_column)
        span = pc.min_max(times)
        if span["min"].is_valid:
            first = span["min"] if first is None else pc.min_element_wise(first, span["min"])
            last = span["max"] if last is None else pc.max_element_wise(last, span["max"])
            outside = _outside(times, start, end, span)
            if outside is not None:
                batch = batch.filter(pc.invert(outside))
                times = batch.column(time_column)
        num_dated += batch.num_rows - times.null_count
        yield batch
    if not num_read:
        raise NoRows(f"{origin} gave no rows {described(window)}: there is no new data. Nothing was ingested.")
    if time_column is not None and not num_dated:
        raise NoRows(
            f"None of the {num_read} rows of {origin} has a {time_column!r} {described(window)}; found {first} to "
            f"{last}. There is no new data. Nothing was ingested."
        )


def _outside(times: pa.Array, start: datetime | None, end: datetime | None, span: pa.StructScalar) -> pa.Array | None:
    """Return which rows have a time outside of the window, or None where all are known to be inside."""
    zoned = pa.types.is_timestamp(times.type) and times.type.tz is not None
    low, high = (
        None if bound is None else pa.scalar(bound.replace(tzinfo=UTC) if zoned else bound, _comparable(times.type))
        for bound in (start, end)
    )
    before = None if low is None or not pc.less(span["min"], low).as_py() else pc.less(times, low)
    after = None if high is None or pc.less(span["max"], high).as_py() else pc.greater_equal(times, high)
    outside = [mask for mask in (before, after) if mask is not None]
    if not outside:
        return None
    either = outside[0] if len(outside) == 1 else pc.or_(*outside)
    return pc.fill_null(either, fill_value=False)


def _comparable(time_type: pa.DataType) -> pa.DataType:
    return time_type if pa.types.is_timestamp(time_type) else pa.timestamp("us")
