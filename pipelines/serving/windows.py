"""The moment that a scoring run is about, and the rows that it looks at where nobody says which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from pipelines.errors import UsageError
from pipelines.records import Window, WindowRequest
from pipelines.spec import ModelSpec

_UNITS = {"day": "D", "month": "M", "year": "Y"}


def moment(as_of: str | None) -> datetime:
    """Return a moment in UTC; the present for None, and UTC where it names no zone.

    >>> moment("2013-05-01T02:00:00+02:00")
    datetime.datetime(2013, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)

    Raises:
        UsageError: If it is no ISO 8601 time.
    """
    if as_of is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise UsageError(
            f"The moment that the run is about is {as_of!r}; allowed is an ISO 8601 time such as "
            "2013-05-01T00:00:00Z. Nothing was scored."
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def scored_window(spec: ModelSpec, request: WindowRequest) -> Window:
    """Return the window of a request; one that is open at both ends begins where the spec's `window_days` do.

    It begins with a whole partition: half of one would be another partition, and be answered once more each day.

    Raises:
        UsageError: If the request's moment is no time.
    """
    days, window = spec.scoring.window_days, request.window
    if days is None or window != Window():
        return window
    start = (moment(request.as_of) - timedelta(days=days)).replace(tzinfo=None)
    unit = _UNITS.get(spec.source.partition_by)
    whole = start if unit is None else np.datetime64(start).astype(f"M8[{unit}]").astype("M8[us]").item()
    return Window(start=whole.isoformat())
