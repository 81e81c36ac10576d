"""Of several reports of a window the newest is shown, and the first estimate is held against the truth."""

from __future__ import annotations

import pytest

from pipelines.monitoring.windows import compare_estimates, windows_of
from pipelines.records import MonitoringReport, PerformanceValue
from tests.monitoring.histories import silent


def _value(source: str, value: float | None, reach: float = 0.01) -> PerformanceValue:
    return PerformanceValue.model_validate(
        {"metric": "roc_auc", "source": source, "value": value, "low": None if value is None else value - reach,
         "high": None if value is None else value + reach, "reference": 0.7, "num_rows": 9, "dropped": False}
    )  # fmt: skip


def _report(
    name: str, known: str, estimate: float | None, truth: float | None = None, version: int = 1
) -> MonitoringReport:
    return silent(name).model_copy(
        update={
            "as_of": f"2013-{known}-01T00:00:00+00:00",
            "champion_version": version,
            "estimates": (_value("estimated", estimate),),
            "performance": (_value("measured", truth),),
        }
    )


def test_a_window_is_shown_as_it_is_known_now_and_estimated_as_it_was_at_first() -> None:
    history = [_report("2013-04", "05", 0.7), _report("2013-05", "06", 0.6), _report("2013-04", "07", 0.9, truth=0.71)]
    first, second = windows_of(history)
    assert (first.name, second.name) == ("2013-04", "2013-05")
    assert first.newest.as_of.startswith("2013-07")
    truth, estimate = first.measured("roc_auc"), first.estimated("roc_auc")
    assert truth is not None
    assert estimate is not None
    assert (truth.value, estimate.value) == (0.71, 0.7)
    assert second.measured("roc_auc") is None


def test_the_estimate_of_another_version_is_not_held_against_this_ones_truth() -> None:
    history = [_report("2013-04", "05", 0.7), _report("2013-04", "07", 0.9, truth=0.71, version=2)]
    estimate = windows_of(history)[0].estimated("roc_auc")
    assert estimate is not None
    assert estimate.value == 0.9


def test_estimates_are_compared_with_the_truth_and_with_the_window_before() -> None:
    history = [
        _report("2013-04", "05", 0.70, truth=0.705),
        _report("2013-05", "06", 0.69),
        _report("2013-06", "07", 0.65, truth=0.68),
    ]
    first, second = compare_estimates(windows_of(history), "roc_auc")
    assert (first.window_name, first.last_known_error, first.is_inside) == ("2013-04", None, True)
    assert (second.window_name, second.is_inside) == ("2013-06", False)
    assert second.error == pytest.approx(-0.03)
    assert second.last_known_error == pytest.approx(0.025)
