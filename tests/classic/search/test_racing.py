from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.racing import (
    complete_configurations,
    is_complete,
    judged_folds,
    needed_trials,
    surviving,
    tolerance,
)
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult

NAMES = ("a", "b", "c", "d")


def own(name: str) -> Configuration:
    return Configuration(name=name, family="linear", style="dense")


def result(name: str, fold: int, loss: float | None, status: str = "done") -> TrialResult:
    return TrialResult(configuration=own(name), fold=fold, status=status, loss=loss, seconds=1.0)


def results(**losses: float | None) -> dict[TrialKey, TrialResult]:
    found = [result(name, 0, loss, "failed" if loss is None else "done") for name, loss in losses.items()]
    return {each.key: each for each in found}


@pytest.fixture
def detail(planned: Callable[..., Any]) -> SearchDetail:
    """Four configurations on five folds, judged by so many rows that noise is no excuse."""
    detail = planned(trials=8)[0]
    return detail.model_copy(
        update={
            "configurations": tuple(own(name) for name in NAMES),
            "num_folds": 5,
            "budget_trials": None,
            "num_search_rows": 10**9,
        }
    )


def test_all_configurations_come_first_on_the_first_fold(detail: SearchDetail) -> None:
    assert needed_trials(detail, [detail.configurations], {}) == [TrialKey(name, 0) for name in NAMES]


def test_the_clearly_worse_is_dropped_and_the_best_goes_on_first(detail: SearchDetail) -> None:
    done = results(a=1.2, b=1.0, c=1.3, d=None)
    needed = needed_trials(detail, [detail.configurations], done)
    assert needed[4:] == [TrialKey(name, fold) for name in ("b", "a") for fold in range(1, 5)]
    assert not is_complete(needed, done)


def test_few_rows_make_it_harder_to_be_clearly_worse(detail: SearchDetail) -> None:
    few = detail.model_copy(update={"num_search_rows": 500})
    assert tolerance(detail, refined=False) == pytest.approx(1.25, abs=0.01)
    assert tolerance(few, refined=False) == pytest.approx(1.65)
    assert tolerance(few, refined=True) == tolerance(detail, refined=True)


def test_a_budget_of_trials_cuts_the_list(detail: SearchDetail) -> None:
    short = detail.model_copy(update={"budget_trials": 6})
    needed = needed_trials(short, [detail.configurations], results(a=1.2, b=1.0, c=1.3, d=1.5))
    assert needed[4:] == [TrialKey("b", 1), TrialKey("b", 2)]
    assert len(needed_trials(detail.model_copy(update={"budget_trials": 3}), [detail.configurations], {})) == 3


def test_the_order_in_which_results_arrive_changes_nothing(detail: SearchDetail) -> None:
    done = results(a=1.2, b=1.0, c=1.0, d=1.1)
    shuffled = random.Random(1).sample(sorted(done.items()), len(done))
    generations = [detail.configurations]
    assert needed_trials(detail, generations, dict(shuffled)) == needed_trials(detail, generations, done)


def test_equal_losses_go_by_name(detail: SearchDetail) -> None:
    assert surviving(detail.configurations, results(d=1.0, b=1.0, a=1.0), 1.25) == ["a", "b", "d"]


def test_what_is_refined_goes_on_only_near_the_best_of_all(detail: SearchDetail) -> None:
    refined = [own("near"), own("far")]
    done = {**results(a=1.0, b=1.0, c=1.0, d=1.0), **results(near=1.01, far=1.1)}
    needed = needed_trials(detail, [detail.configurations, refined], done)
    assert [key.fold for key in needed if key.configuration == "near"] == [0, 1, 2, 3, 4]
    assert [key.fold for key in needed if key.configuration == "far"] == [0]


def test_a_configuration_that_failed_does_not_go_on(detail: SearchDetail) -> None:
    done = results(a=None, b=None, c=None, d=None)
    needed = needed_trials(detail, [detail.configurations], done)
    assert len(needed) == 4
    assert is_complete(needed, done)


def test_models_are_compared_on_all_folds_when_the_search_was_complete(detail: SearchDetail) -> None:
    found = [result(name, fold, 1.0) for name in ("a", "b") for fold in (0, 1)] + [result("c", 0, 9.0)]
    assert judged_folds(detail, {each.key: each for each in found}) == (0, 1)


def test_models_are_compared_on_one_fold_when_time_left_a_choice_on_that_only(detail: SearchDetail) -> None:
    found = [result(name, 0, 1.0) for name in "abcdef"] + [result("a", fold, 1.0) for fold in (1, 2)]
    assert judged_folds(detail, {each.key: each for each in found}) == (0,)
    assert judged_folds(detail, {}) == ()


def test_only_configurations_with_all_folds_are_compared() -> None:
    found = [result("a", 0, 1.0), result("a", 1, 1.0), result("b", 0, 1.0), result("b", 1, None, "cut_off")]
    done = {each.key: each for each in found}
    assert complete_configurations((0, 1), done) == ["a"]
    assert complete_configurations((0,), done) == ["a", "b"]
