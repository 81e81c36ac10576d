"""The windows that a replay plays: of one partition each, by the names of the first and the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.data.periods import period_names, period_span
from pipelines.errors import UsageError
from pipelines.records import Window
from pipelines.spec.source import PartitionBy

MOST_WINDOWS = 120


@dataclass(frozen=True)
class PlayedWindow:
    """One window: its name, and its span `[start, end)` as dates."""

    name: str
    start: str
    end: str

    @property
    def span(self) -> Window:
        """The span, as steps want it."""
        return Window(start=self.start, end=self.end)

    @property
    def begin(self) -> str:
        """The moment at which it begins."""
        return datetime.fromisoformat(self.start).replace(tzinfo=UTC).isoformat()

    @property
    def as_of(self) -> str:
        """The moment at which it has just ended."""
        return datetime.fromisoformat(self.end).replace(tzinfo=UTC).isoformat()


def windows_between(by: PartitionBy, first: str, last: str) -> list[PlayedWindow]:
    """Return the windows of one partition each.

    >>> [window.end for window in windows_between("month", "2013-11", "2013-12")]
    ['2013-12-01', '2014-01-01']

    Raises:
        UsageError: If there is none, or a bound is no name of a partition.
    """
    if by == "none":
        raise UsageError("The model's source has no partitions by time, so there are no windows. Nothing was replayed.")
    try:
        spans = [period_span(text, by) for text in (first, last)]
        names = period_names(by, (spans[0][0], spans[1][1]))
    except ValueError:
        names = []
    if not names or (names[0], names[-1]) != (first, last) or len(names) > MOST_WINDOWS:
        shown = period_names(by, (datetime(2012, 1, 1), datetime(2014, 1, 1)))[-1]
        raise UsageError(
            f"--from {first!r}, --to {last!r}: allowed are names of partitions by {by}, such as {shown}, the first not "
            f"after the last, and at most {MOST_WINDOWS} of them. Nothing was replayed."
        )
    return [PlayedWindow(name, *(_day(side) for side in period_span(name, by))) for name in names]


def _day(moment: datetime | None) -> str:
    assert moment is not None
    return moment.date().isoformat()
