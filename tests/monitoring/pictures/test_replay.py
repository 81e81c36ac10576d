"""The picture of a replay: gaps stay gaps, a training stands between two months, and the bytes are the same."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from pipelines.gates.pictures.style import save
from pipelines.monitoring.pictures.replay import NARROW, WIDE, draw_replay
from pipelines.monitoring.replay import ReplayMonth
from tests.monitoring.histories import replayed


@pytest.mark.parametrize(("width", "pixels"), [(WIDE, 1276), (NARROW, 429)])
def test_the_same_months_give_the_same_bytes_of_the_width_asked_for(tmp_path: Path, width: float, pixels: int) -> None:
    first, second = (save(draw_replay(replayed(9), "roc_auc", width), tmp_path, name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert struct.unpack(">I", first.read_bytes()[16:20]) == (pixels,)


def test_a_training_is_marked_between_its_month_and_the_next_filled_where_promoted() -> None:
    months = replayed(9)
    axes = draw_replay(months, "roc_auc").axes[0]
    marks = {line.get_label(): line for line in axes.lines if str(line.get_label()).startswith("retraining")}
    for label, was_promoted in (("retraining, promoted", True), ("retraining, not promoted", False)):
        asked = [
            place + 0.5
            for place, month in enumerate(months)
            if month.retrained and (month.promoted_version is not None) is was_promoted
        ]
        assert asked
        assert list(marks[label].get_xdata()) == asked
        assert (marks[label].get_markerfacecolor() == "white") is not was_promoted


def test_a_month_that_was_not_measured_leaves_a_gap() -> None:
    months = [*replayed(2), ReplayMonth(window_name="2013-06"), *replayed(2)]
    axes = draw_replay(months, "roc_auc").axes[0]
    (served,) = [line for line in axes.lines if line.get_label() == "what served"]
    assert [math.isnan(value) for value in served.get_ydata()] == [False, False, True, False, False]


def test_drift_and_alarms_stand_beneath_with_their_numbers() -> None:
    months = replayed(9)
    beneath = draw_replay(months, "roc_auc").axes[1]
    heights = [[bar.get_height() for bar in group] for group in beneath.containers]
    assert heights == [[month.num_drifted for month in months], [month.num_alarms for month in months]]


@pytest.mark.parametrize("months", [[], [ReplayMonth(window_name="2013-04")]])
def test_where_nothing_was_measured_the_picture_says_so(months: list[ReplayMonth], tmp_path: Path) -> None:
    figure = draw_replay(months, "roc_auc")
    assert "not measured yet" in [text.get_text() for text in figure.axes[0].texts]
    assert save(figure, tmp_path, "empty").stat().st_size > 1000
