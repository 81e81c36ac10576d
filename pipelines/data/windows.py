"""The span of time that a run is about, as times that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.errors import UsageError
from pipelines.records import Window

Bounds = tuple[datetime | None, datetime | None]


def bounds(window: Window) -> Bounds:
    """Return the window's bounds as times without a zone; a bound that names a zone is turned into UTC.

    >>> bounds(Window(start="2013-01-01", end="2013-02-01T02:00:00+02:00"))
    (datetime.datetime(2013, 1, 1, 0, 0), datetime.datetime(2013, 2, 1, 0, 0))

    Raises:
        UsageError: If a bound is no ISO 8601 time, or the window holds no time at all.
    """
    start, end = _bound(window.start, "start"), _bound(window.end, "end")
    if start is not None and end is not None and start >= end:
        raise UsageError(
            f"The window starts at {window.start} and ends at {window.end}: the start must lie before the end. "
            "Nothing was read."
        )
    return start, end


def described(window: Window) -> str:
    """Return the window for people.

    >>> described(Window(start="2013-01-01"))
    'from 2013-01-01 on'
    """
    if window.start is None and window.end is None:
        return "at any time"
    if window.end is None:
        return f"from {window.start} on"
    return f"before {window.end}" if window.start is None else f"from {window.start} to before {window.end}"


def _bound(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"The window's {name} is {text!r}; allowed is an ISO 8601 date or time, such as 2013-01-31 or "
            "2013-01-31T12:00:00Z. Nothing was read."
        ) from error
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
