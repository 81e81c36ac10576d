"""Tell which period a time falls in, and what the partition of that period is called."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.windows import Bounds
from pipelines.spec.source import PartitionBy

UNDATED = int(np.iinfo(np.int64).min)  # also NumPy's own mark for a time that is not known
UNDATED_NAME = "undated"

_UNITS = {"day": "D", "month": "M", "year": "Y"}


def periods_of(times: pa.Array, by: PartitionBy) -> npt.NDArray[np.int64]:
    """Return each row's period as a number: days, months or years since 1970, 0 for 'none', `UNDATED` for null.

    Args:
        times: Dates or timestamps, shape (n,). Those with a zone are placed by their time in UTC.
        by: Length of a period.
    """
    if by == "none":
        return np.zeros(len(times), dtype=np.int64)
    moments = times.cast(pa.timestamp("us", tz=getattr(times.type, "tz", None)), safe=False).cast(pa.int64())
    known = np.asarray(pc.fill_null(moments, UNDATED), dtype="M8[us]")
    return known.astype(f"M8[{_UNITS[by]}]").view(np.int64)


def period_name(period: int, by: PartitionBy, window: Bounds) -> str:
    """Return the name of the partition that holds the rows of `period` that lie in `window`.

    A period that the window covers only in part has a name of its own, so that half a month never passes for a changed
    month.

    >>> period_name(516, "month", (datetime(2013, 1, 1), None))
    '2013-01'
    >>> period_name(516, "month", (datetime(2013, 1, 15), None))
    '2013-01-15--2013-02-01'
    >>> period_name(0, "none", (None, datetime(2013, 4, 1)))
    'before-2013-04-01'
    """
    start, end = window
    if by == "none":
        return _open_span(start, end)
    if period == UNDATED:
        return UNDATED_NAME
    spans = np.array([period, period + 1]).astype(f"M8[{_UNITS[by]}]")
    period_start, period_end = spans.astype("M8[us]").tolist()
    covered_start = period_start if start is None else max(start, period_start)
    covered_end = period_end if end is None else min(end, period_end)
    if (covered_start, covered_end) == (period_start, period_end):
        return str(spans[0])
    return f"{_short(covered_start)}--{_short(covered_end)}"


def period_span(name: str, by: PartitionBy) -> Bounds:
    """Return the span `[start, end)` that a partition's name speaks of; a side that it leaves open is None.

    >>> period_span("2013-01", "month")
    (datetime.datetime(2013, 1, 1, 0, 0), datetime.datetime(2013, 2, 1, 0, 0))
    >>> period_span("2013-01-15--2013-02-01", "month")
    (datetime.datetime(2013, 1, 15, 0, 0), datetime.datetime(2013, 2, 1, 0, 0))
    >>> period_span("all", "none")
    (None, None)
    """
    if name in (UNDATED_NAME, "all"):
        return None, None
    start, cut, end = name.partition("--")
    if cut:
        return datetime.fromisoformat(start), datetime.fromisoformat(end)
    for before, side in (("before-", 1), ("from-", 0)):
        if name.startswith(before):
            bound = datetime.fromisoformat(name.removeprefix(before))
            return (None, bound) if side else (bound, None)
    period = np.datetime64(name, _UNITS[by])  # type: ignore[call-overload]
    spans = np.array([period, period + 1]).astype("M8[us]")
    first, last = spans.tolist()
    return first, last


def period_names(by: PartitionBy, window: Bounds) -> list[str]:
    """Return the names of all whole periods that lie in a window; none where it is open.

    >>> period_names("month", (datetime(2013, 1, 15), datetime(2013, 4, 1)))
    ['2013-02', '2013-03']
    """
    start, end = window
    if by == "none" or start is None or end is None:
        return []
    unit = _UNITS[by]
    first = np.datetime64(start).astype(f"M8[{unit}]")
    if first.astype("M8[us]") < np.datetime64(start, "us"):
        first = first + 1
    return [str(period) for period in np.arange(first, np.datetime64(end).astype(f"M8[{unit}]"))]


def _open_span(start: datetime | None, end: datetime | None) -> str:
    if start is None:
        return "all" if end is None else f"before-{_short(end)}"
    return f"from-{_short(start)}" if end is None else f"{_short(start)}--{_short(end)}"


def _short(moment: datetime) -> str:
    return moment.isoformat().removesuffix("T00:00:00")
