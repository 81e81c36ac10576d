"""Bars of drift: in units of the column's own alarm line, cut where one window dwarfs all."""

from __future__ import annotations

import itertools

import pytest

from pipelines.monitoring.pictures.bars import CUT_AT, HEIGHT, Bar, alarm_y, drift_cards
from pipelines.monitoring.windows import windows_of
from pipelines.records import ColumnDrift
from tests.monitoring.histories import months, silent

NOTHING = silent().columns[0]


def _bars(*columns: ColumnDrift | None, alarm: float = 0.1) -> tuple[Bar, ...]:
    names = months(len(columns))
    reports = [
        silent(name).model_copy(update={"columns": (column,) if column else ()})
        for name, column in zip(names, columns, strict=True)
    ]
    (card,) = drift_cards(windows_of(reports), "columns", alarm)
    return card.bars


def _at(distance: float | None, **changes: object) -> ColumnDrift:
    return NOTHING.model_copy(update={"distance": distance, **changes})


def test_a_distance_at_the_alarm_line_is_as_high_as_the_line() -> None:
    (bar,) = _bars(_at(0.1))
    assert bar.y == pytest.approx(alarm_y())
    (bar,) = _bars(_at(0.3, usual_distance=0.3))
    assert bar.y == pytest.approx(alarm_y())


def test_what_is_higher_than_the_picture_is_cut_and_says_its_number() -> None:
    near, far = _bars(_at(0.05), _at(0.9, drifted=True, persistent=True))
    assert (near.is_cut, far.is_cut) == (False, True)
    assert far.y == _bars(_at(0.1 * CUT_AT))[0].y
    assert far.text == "2013-05: 0.900, persistent"


def test_a_window_without_a_distance_is_marked_and_has_no_height() -> None:
    first, second, third = _bars(_at(0.2, drifted=True), None, _at(None))
    assert (first.kind, second.kind, third.kind) == ("drifted", "unknown", "unknown")
    assert (second.text, third.text) == ("2013-05: not there", "2013-06: no value")
    assert second.y == third.y == HEIGHT


def test_bars_stand_side_by_side_over_the_whole_width() -> None:
    bars = _bars(*[_at(0.1)] * 24)
    assert all(after.x >= before.x + before.width for before, after in itertools.pairwise(bars))
    assert bars[0].x >= 0
    assert bars[-1].x + bars[-1].width <= 100
