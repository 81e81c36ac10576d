"""Axes and labels: round numbers, and never two names in one place."""

from __future__ import annotations

import itertools
import math

import pytest

from pipelines.monitoring.pictures.axis import NARROW_PIXELS, WIDE_PIXELS, Axis, Label, window_labels
from tests.monitoring.histories import months

PIXELS_PER_CHARACTER = 6.9  # of the page's 11.5 pixels, in a wide sans-serif


@pytest.mark.parametrize("low", [0.0, -3.0, 0.6, 1e6, 1e-6])
@pytest.mark.parametrize("span", [1e-3, 0.0371, 0.5, 99.0, 1e5])
@pytest.mark.parametrize("least", [2, 3])
def test_ticks_are_on_the_axis_even_and_neither_few_nor_many(low: float, span: float, least: int) -> None:
    ticks = Axis(low, low + span, 100.0).ticks(least)
    assert least <= len(ticks) <= 3 * least
    assert all(-1e-6 <= tick.y <= 100 + 1e-6 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)
    for tick in ticks:
        value = float(tick.label.replace(",", ""))
        assert math.isclose(Axis(low, low + span, 100.0).y(value), tick.y, abs_tol=1e-3)


def test_an_axis_has_room_about_equal_values_and_about_none() -> None:
    assert Axis.around([0.5, 0.5, None], 100).low < 0.5 < Axis.around([0.5, 0.5, None], 100).high
    assert Axis.around([None], 100).low < Axis.around([None], 100).high
    assert Axis.around([1e9], 100).high > 1e9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 12, 23, 24])
@pytest.mark.parametrize("name", ["{}", "{}-15", "{}-15T06:00:00--2014-02-01", "x{}" * 12], ids=len)
@pytest.mark.parametrize(("room", "pixels"), [("narrow", NARROW_PIXELS), ("wide", WIDE_PIXELS)])
def test_labels_neither_touch_each_other_nor_leave_the_picture(count: int, name: str, room: str, pixels: int) -> None:
    labels = window_labels([name.replace("{}", month) for month in months(count)])
    spans = sorted(_span(label, pixels) for label in labels if label.room in {"any", room})
    assert spans
    assert all(after[0] - before[1] > 2 for before, after in itertools.pairwise(spans))
    assert spans[0][0] > -20  # what stands left of a picture is its scale, which ends above
    assert spans[-1][1] < pixels + 12


def test_the_newest_window_is_always_named() -> None:
    for count in range(1, 25):
        names = months(count)
        for room in ("narrow", "wide"):
            assert names[-1] in [label.text for label in window_labels(names) if label.room in {"any", room}]


def _span(label: Label, pixels: float) -> tuple[float, float]:
    width = PIXELS_PER_CHARACTER * len(label.text)
    start = pixels * label.x / 100 - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return start, start + width
