"""Place one column's drift over the windows: a bar a window, the alarm line, and which windows drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.monitoring.windows import WindowView
from pipelines.records.monitoring import ColumnDrift

HEIGHT = 62
MARKS_HEIGHT = 9  # above the highest bar, for the marks of drift
CUT_AT = 4.0  # times the alarm line: else one window that is wholly other would flatten all the others
MOST_CARDS = 40


@dataclass(frozen=True)
class Bar:
    """One window: place and width in per cent, top in pixels; `is_cut` where it is higher than the picture."""

    x: float
    width: float
    y: float
    kind: str
    is_cut: bool
    text: str

    @property
    def middle(self) -> float:
        """The bar's middle, in per cent."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class ColumnCard:
    """One column over all windows, in units of its alarm line; `newest` is None where the last window has it not."""

    column: str
    newest: ColumnDrift | None
    bars: tuple[Bar, ...]
    alarm: float
    alt: str

    @property
    def urgency(self) -> float:
        """Weight times distance, from 0 to 1: what comes first."""
        if self.newest is None:
            return -1.0
        return self.newest.weight * (self.newest.distance or 0.0)


def drift_cards(windows: Sequence[WindowView], of: str, alarm: float) -> list[ColumnCard]:
    """Return a card for each column, those first that matter and moved most.

    Args:
        windows: Oldest first.
        of: `columns` or `predictions`: which part of the reports.
        alarm: The distance from which a column may count as drifted.
    """
    by_window = [{one.column: one for one in getattr(window.newest, of)} for window in windows]
    names = dict.fromkeys(name for found in reversed(by_window) for name in found)
    cards = [_card(name, windows, [found.get(name) for found in by_window], alarm) for name in names]
    return sorted(cards, key=lambda card: (-card.urgency, -(_distance(card.newest) or 0.0), card.column))


def alarm_y() -> float:
    """Return the height of every card's alarm line in pixels from the top."""
    return _y(1.0)


def alarm_of(one: ColumnDrift, minimum_distance: float) -> float:
    """Return the distance from which a column may count as drifted: no nearer than what is usual for it."""
    return max(minimum_distance, one.usual_distance or 0.0)


def _card(name: str, windows: Sequence[WindowView], found: Sequence[ColumnDrift | None], minimum: float) -> ColumnCard:
    bars = tuple(
        _bar(window.name, one, place, len(windows), minimum)
        for place, (window, one) in enumerate(zip(windows, found, strict=True))
    )
    known = next((alarm_of(one, minimum) for one in reversed(found) if one is not None), minimum)
    return ColumnCard(name, found[-1], bars, known, _in_words(name, windows, found, known))


def _bar(window: str, one: ColumnDrift | None, place: int, count: int, minimum: float) -> Bar:
    distance = _distance(one)
    width = 100 / count
    slot = (width * place + 0.1 * width, 0.8 * width)
    if one is None or distance is None:
        return Bar(*slot, HEIGHT, "unknown", False, f"{window}: {'not there' if one is None else 'no value'}")
    times = distance / alarm_of(one, minimum)
    kind = state(one)
    text = f"{window}: {distance:.3f}{'' if kind == 'near' else f', {kind}'}"
    return Bar(*slot, _y(min(times, CUT_AT)), kind, times > CUT_AT, text)


def state(one: ColumnDrift) -> str:
    """Return `persistent`, `drifted` or `near`, whichever comes first."""
    return "persistent" if one.persistent else "drifted" if one.drifted else "near"


def _y(times: float) -> float:
    return HEIGHT - (HEIGHT - MARKS_HEIGHT) * times / CUT_AT


def _distance(one: ColumnDrift | None) -> float | None:
    return None if one is None else one.distance


def _in_words(name: str, windows: Sequence[WindowView], found: Sequence[ColumnDrift | None], alarm: float) -> str:
    drifted = [window.name for window, one in zip(windows, found, strict=True) if one is not None and one.drifted]
    newest = _distance(found[-1])
    now = "no distance" if newest is None else f"distance {newest:.3f}"
    ever = f"drifted in {len(drifted)} of {len(windows)} windows" + (f", last in {drifted[-1]}" if drifted else "")
    return f"{name}: {now} in {windows[-1].name}, alarm from {alarm:g}; {ever}."
