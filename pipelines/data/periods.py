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


def _open_span(start: datetime | None, end: datetime | None) -> str:
    if start is None:
        return "all" if end is None else f"before-{_short(end)}"
    return f"from-{_short(start)}" if end is None else f"{_short(start)}--{_short(end)}"


def _short(moment: datetime) -> str:
    return moment.isoformat().removesuffix("T00:00:00")
