"""Find where numbers and windows stand: heights in pixels, places across in per cent of whatever width there is.

Pictures are as wide as the page lets them be, and their text stays as large as the page's; so nothing across is counted
in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

NARROW_PIXELS, WIDE_PIXELS = 270, 600  # across a picture on a phone, and on paper
_CHARACTER_PIXELS = 7.4
_LONGEST_LABEL = 22
_GAP = 1.5  # of a label's own width: labels at the ends are pushed inwards by half of it


@dataclass(frozen=True)
class Tick:
    """One number on an axis: its height in pixels from the top, and the number in words."""

    y: float
    label: str


@dataclass(frozen=True)
class Axis:
    """The numbers from `low` to `high` over `height` pixels; the lowest stands at the bottom."""

    low: float
    high: float
    height: float

    @classmethod
    def around(cls, values: Iterable[float | None], height: float, at_least: float = 0.02) -> Axis:
        """Return an axis with some room about all values that are known, `at_least` long."""
        known = [value for value in values if value is not None] or [0.0, 1.0]
        middle, reach = (min(known) + max(known)) / 2, (max(known) - min(known)) / 2
        reach = max(1.12 * reach, at_least / 2, 1e-3 * abs(middle))
        return cls(middle - reach, middle + reach, height)

    def y(self, value: float) -> float:
        """Return the height of a value in pixels from the top."""
        return self.height * (self.high - value) / (self.high - self.low)

    def ticks(self, least: int = 3) -> tuple[Tick, ...]:
        """Return round numbers on the axis, `least` at least and not many more.

        >>> [tick.label for tick in Axis(0.648, 0.731, 200).ticks()]
        ['0.650', '0.675', '0.700', '0.725']
        """
        power = 10.0 ** math.ceil(math.log10(self.high - self.low))
        steps = (power * factor / scale for scale in (1, 10, 100) for factor in (1, 0.5, 0.25, 0.2))
        step, numbers = next((step, found) for step in steps if len(found := range(*self._multiples(step))) >= least)
        decimals = next(places for places in range(20) if abs(step - round(step, places)) < 1e-9 * step)
        return tuple(Tick(self.y(n * step), f"{n * step + 0.0:,.{decimals}f}") for n in numbers)

    def _multiples(self, step: float) -> tuple[int, int]:
        return math.ceil(self.low / step), math.floor(self.high / step) + 1


@dataclass(frozen=True)
class Label:
    """A window's name beneath a picture: its place in per cent, which end of it stands there, and where it is shown."""

    x: float
    text: str
    anchor: str
    room: Literal["any", "wide", "narrow"] = "any"


def across(place: int, count: int) -> float:
    """Return the middle of one of `count` windows, in per cent.

    >>> [across(place, 4) for place in range(4)]
    [12.5, 37.5, 62.5, 87.5]
    """
    return 100 * (place + 0.5) / count


def window_labels(names: Sequence[str], narrow: float = NARROW_PIXELS, wide: float = WIDE_PIXELS) -> list[Label]:
    """Return the names that have room beneath a picture, the newest among them; on a phone fewer than on paper.

    >>> [(label.text, label.room) for label in window_labels(["2013-04", "2013-05", "2013-06"])]
    [('2013-04', 'any'), ('2013-05', 'any'), ('2013-06', 'any')]
    """
    count = len(names)
    pixels = _CHARACTER_PIXELS * max((len(shortened(name, _LONGEST_LABEL)) for name in names), default=0)
    every = _stride(count, wide, pixels)
    every_narrow = every * _stride(-(-count // every), narrow, pixels)
    labels = []
    for place in range((count - 1) % every, count, every):
        text = shortened(names[place], _LONGEST_LABEL)
        shown = [_placed(place, count, pixels, wide)]
        if (count - 1 - place) % every_narrow == 0:
            shown.append(_placed(place, count, pixels, narrow))
        same = len(set(shown)) < len(shown)
        rooms: tuple[Literal["any", "wide", "narrow"], ...] = ("any",) if same else ("wide", "narrow")
        labels += [Label(x, text, anchor, room) for (x, anchor), room in zip(shown, rooms, strict=False)]
    return labels


def _placed(place: int, count: int, pixels: float, room: float) -> tuple[float, str]:
    """Return where a label stands and by which end: at the edges it is pushed inwards where it would stick out."""
    if pixels > room / count and count > 1:
        if place == count - 1:
            return 100.0, "end"
        if place == 0:
            return 0.0, "start"
    return across(place, count), "middle"


def _stride(count: int, room: float, pixels: float) -> int:
    """Return how many windows share one label; one that is pushed inwards takes half of its width more."""
    fit = room // (pixels if count * pixels <= room else _GAP * pixels) if pixels else 1
    return -(-count // max(1, int(fit))) or 1


def shortened(name: str, most: int) -> str:
    """Return a name cut in its middle, where names differ least.

    >>> shortened("2013-01-15T06:00:00--2013-02-01", 13)
    '2013-0…-02-01'
    """
    if len(name) <= most:
        return name
    return f"{name[: (most - 1) // 2]}…{name[-(most - 1) // 2 :]}"
