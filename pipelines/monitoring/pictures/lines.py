"""Place one figure over the windows: measured, estimated, their intervals, and how low it may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeVar

from pipelines.monitoring.pictures.axis import Axis, Label, Tick, across, window_labels

T = TypeVar("T")
_LARGE, _SMALL = 230, 110  # pixels high
_SMALL_WIDTH = 190


@dataclass(frozen=True)
class Point:
    """A figure on one window; the ends of its interval may be None."""

    value: float
    low: float | None
    high: float | None
    text: str
    alarmed: bool = False


@dataclass(frozen=True)
class Dot:
    """Where a point stands: `x` in per cent, heights in pixels from the top."""

    x: float
    y: float
    top: float | None
    bottom: float | None
    text: str
    alarmed: bool


@dataclass(frozen=True)
class Stretch:
    """A level line or a band from `x1` to `x2`, in per cent; a band has no height of its own."""

    x1: float
    x2: float
    y: float
    text: str


@dataclass(frozen=True)
class Series:
    """The dots of one kind, and the lines that join neighbours: (x1, y1, x2, y2)."""

    kind: str
    dots: tuple[Dot, ...]
    joins: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class LineChart:
    """All marks of one picture."""

    title: str
    alt: str
    height: int
    ticks: tuple[Tick, ...]
    bands: tuple[Stretch, ...]
    references: tuple[Stretch, ...]
    bounds: tuple[Stretch, ...]
    series: tuple[Series, ...]
    labels: list[Label]


def line_chart(
    title: str,
    alt: str,
    names: Sequence[str],
    series: dict[str, Sequence[Point | None]],
    references: Sequence[float | None],
    bounds: Sequence[float | None],
    bands: Sequence[str] = (),
    is_small: bool = False,
) -> LineChart:
    """Return the picture of a figure over the windows.

    Args:
        title: What stands above it.
        alt: What it shows, in words.
        names: The windows' names, oldest first.
        series: The figure of each window by kind, `measured` or `estimated`; None leaves a gap.
        references: What the figure was when the window's champion was promoted.
        bounds: The value past which it counts as worse.
        bands: What served in each window, such as `version 3`; equal neighbours make one band.
        is_small: Whether it stands beside others.
    """
    points = [point for kind in series.values() for point in kind if point is not None]
    seen = [value for point in points for value in (point.value, point.low, point.high)]
    height = _SMALL if is_small else _LARGE
    axis = Axis.around([*seen, *references, *bounds], height)
    return LineChart(
        title=title,
        alt=alt,
        height=height,
        ticks=axis.ticks(2 if is_small else 3),
        bands=_bands(bands),
        references=_levels(axis, references),
        bounds=_levels(axis, bounds),
        series=tuple(_series(axis, kind, values) for kind, values in series.items()),
        labels=window_labels(names, *((_SMALL_WIDTH,) * 2 if is_small else ())),
    )


def _series(axis: Axis, kind: str, points: Sequence[Point | None]) -> Series:
    dots = [None if point is None else _dot(axis, point, place, len(points)) for place, point in enumerate(points)]
    joins = tuple((a.x, a.y, b.x, b.y) for a, b in pairwise(dots) if a is not None and b is not None)
    return Series(kind, tuple(dot for dot in dots if dot is not None), joins)


def _dot(axis: Axis, point: Point, place: int, count: int) -> Dot:
    top = None if point.high is None else axis.y(point.high)
    bottom = None if point.low is None else axis.y(point.low)
    return Dot(across(place, count), axis.y(point.value), top, bottom, point.text, point.alarmed)


def _levels(axis: Axis, values: Sequence[float | None]) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(100 * first / len(values), 100 * (last + 1) / len(values), axis.y(value), f"{value:g}")
        for value, first, last in _runs(values)
        if value is not None
    )


def _bands(names: Sequence[str]) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(100 * first / len(names), 100 * (last + 1) / len(names), 0.0, name)
        for name, first, last in _runs(names)
    )


def _runs(values: Sequence[T]) -> list[tuple[T, int, int]]:
    """Return each stretch of equal values with its first and last place."""
    found = []
    for value, places in groupby(range(len(values)), key=lambda place: values[place]):
        taken = list(places)
        found.append((value, taken[0], taken[-1]))
    return found
