from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.classic.search.budget import BudgetClock, default_fit_seconds, member_seconds, refit_seconds
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult


def done(name: str, fold: int, seconds: float, loss: float = 1.0) -> TrialResult:
    configuration = Configuration(name=name, family="linear", style="dense")
    return TrialResult(configuration=configuration, fold=fold, status="done", loss=loss, seconds=seconds)


def results(*found: TrialResult) -> dict[TrialKey, TrialResult]:
    return {each.key: each for each in found}


@pytest.fixture
def detail(planned: Callable[..., Any]) -> SearchDetail:
    return planned(trials=None, seconds=40.0)[0]


def test_one_fit_may_take_a_quarter_of_the_budget(detail: SearchDetail) -> None:
    assert detail.max_fit_seconds == default_fit_seconds(40.0) == 10.0


def test_no_fit_outlives_the_budget(detail: SearchDetail) -> None:
    clock = BudgetClock(detail, jobs=2)
    assert clock.hard_seconds(left=30.0) == 11.5
    assert clock.hard_seconds(left=1.0) == 1.5
    assert clock.soft_seconds(TrialKey("a", 0), left=0.2) == pytest.approx(0.2)


def test_first_folds_share_their_part_of_the_budget(detail: SearchDetail) -> None:
    turns = -(-len(detail.configurations) // 2)
    assert BudgetClock(detail, jobs=2).soft_seconds(TrialKey("a", 0), left=30.0) == pytest.approx(16.0 / turns)


def test_time_is_kept_for_the_refit_of_the_best(detail: SearchDetail) -> None:
    found = results(*(done("slow", fold, 4.0) for fold in range(5)))
    clock = BudgetClock(detail, jobs=1)
    assert clock.seconds_left(0.0, {}) - clock.seconds_left(0.0, found) == pytest.approx(4.0 * 5 / 4 * 1.3)


def test_a_trial_that_would_not_end_in_time_is_not_started(detail: SearchDetail) -> None:
    found = results(done("slow", 0, 4.0))
    clock = BudgetClock(detail, jobs=1)
    assert not clock.fits_in(TrialKey("slow", 1), 3.0, found)
    assert clock.fits_in(TrialKey("slow", 1), 5.0, found)
    assert clock.fits_in(TrialKey("unknown", 0), 1.0, found)
    assert not clock.fits_in(TrialKey("unknown", 0), 0.0, found)


def test_an_earlier_attempts_seconds_count(detail: SearchDetail) -> None:
    assert BudgetClock(detail, 1, spent_seconds=7.0).seconds_left(0.0, {}) == pytest.approx(
        BudgetClock(detail, 1).seconds_left(0.0, {}) - 7.0
    )


def test_a_budget_of_trials_never_asks_the_clock(planned: Callable[..., Any]) -> None:
    clock = BudgetClock(planned(trials=8)[0], jobs=1)
    assert clock.seconds_left(1e9, {}) == float("inf")
    assert clock.soft_seconds(TrialKey("a", 0), float("inf")) is None
    assert clock.hard_seconds(float("inf")) > 3600


def test_a_refit_on_more_rows_takes_as_much_longer(detail: SearchDetail) -> None:
    found = results(done("a", 0, 1.0))
    larger = detail.model_copy(update={"num_rows": 10 * detail.num_search_rows})
    assert member_seconds(larger, found, "a") == pytest.approx(10 * member_seconds(detail, found, "a"))
    assert refit_seconds(detail, found, ["a", "a"], jobs=2) == pytest.approx(member_seconds(detail, found, "a"))
