"""Worse by more than the margin, and by more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.monitoring.dropping import has_dropped, reference_of
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.watching import Performance

SETTINGS = Performance(may_drop_by=0.02, minimum_rows=500)


def _new(value: float | None, half: float | None = 0.01, metric: str = "roc_auc", rows: int = 1000) -> PerformanceValue:
    known = value is not None and half is not None
    return PerformanceValue(
        metric=metric,
        source="measured",
        value=value,
        low=value - half if known else None,
        high=value + half if known else None,
        reference=None,
        num_rows=rows,
        dropped=False,
    )


def _old(value: float | None, half: float | None = 0.01, metric: str = "roc_auc") -> MetricValue:
    known = value is not None and half is not None
    low, high = (value - half, value + half) if known else (None, None)
    return MetricValue(metric=metric, slice="all", value=value, low=low, high=high, num_rows=1000)


@pytest.mark.parametrize(
    ("value", "dropped"),
    [(0.74, False), (0.70, False), (0.681, False), (0.679, True), (0.5, True)],
)
def test_a_drop_is_more_than_the_margin(value: float, dropped: bool) -> None:
    assert has_dropped(_new(value), _old(0.70), SETTINGS) is dropped


@pytest.mark.parametrize(("half", "dropped"), [(0.02, True), (0.0282, True), (0.0284, False), (0.1, False)])
def test_a_drop_is_more_than_chance_of_both_sides(half: float, dropped: bool) -> None:
    """0.04 apart: chance is the root of half squared, twice."""
    assert has_dropped(_new(0.66, half), _old(0.70, half), SETTINGS) is dropped


def test_only_the_sides_that_face_each_other_count() -> None:
    old = _old(0.70).model_copy(update={"high": 0.99})
    new = _new(0.66).model_copy(update={"low": 0.1})
    assert has_dropped(new, old, SETTINGS)
    assert not has_dropped(new, old.model_copy(update={"low": 0.6}), SETTINGS)
    assert not has_dropped(new.model_copy(update={"high": 0.75}), old, SETTINGS)


def test_where_lower_is_better_a_rise_is_a_drop() -> None:
    assert has_dropped(_new(0.25, metric="brier"), _old(0.20, metric="brier"), SETTINGS)
    assert not has_dropped(_new(0.15, metric="brier"), _old(0.20, metric="brier"), SETTINGS)


def test_few_rows_have_never_dropped() -> None:
    assert not has_dropped(_new(0.1, rows=499), _old(0.9), SETTINGS)
    assert has_dropped(_new(0.1, rows=500), _old(0.9), SETTINGS)


def test_what_is_not_known_has_not_dropped() -> None:
    assert not has_dropped(_new(None), _old(0.9), SETTINGS)
    assert not has_dropped(_new(0.1), _old(None), SETTINGS)
    assert not has_dropped(_new(0.1, None), _old(0.9), SETTINGS)
    assert not has_dropped(_new(0.1), _old(0.9, None), SETTINGS)
    assert not has_dropped(_new(0.1), None, SETTINGS)


def test_a_margin_of_0_leaves_it_to_chance_alone() -> None:
    settings = Performance(may_drop_by=0.0)
    assert has_dropped(_new(0.685), _old(0.70), settings)
    assert not has_dropped(_new(0.687), _old(0.70), settings)
    assert not has_dropped(_new(0.70, 0.0), _old(0.70, 0.0), settings)


def test_where_nothing_changed_a_drop_is_seen_in_about_two_and_a_half_of_a_hundred_windows() -> None:
    generator = np.random.default_rng(0)
    new, old = generator.normal(0.7, 0.02, (2, 4000))
    widths = 1.96 * 0.02
    settings = Performance(may_drop_by=0.0)
    seen = [has_dropped(_new(a, widths), _old(b, widths), settings) for a, b in zip(new, old, strict=True)]
    assert np.mean(seen) == pytest.approx(0.025, abs=0.008)


def test_the_reference_is_the_value_on_all_rows_and_there_is_one() -> None:
    of_slice = _old(0.5).model_copy(update={"slice": "origin=JFK"})
    assert reference_of("roc_auc", [of_slice, _old(0.7)]) == _old(0.7)
    assert reference_of("roc_auc", [of_slice]) is None
    assert reference_of("roc_auc", [_old(0.7), _old(0.8)]) is None
