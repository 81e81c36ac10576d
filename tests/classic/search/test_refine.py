from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.portfolio import portfolio
from pipelines.classic.search.refine import GENERATION_SIZE, SPACES, propose
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult


@pytest.fixture
def detail(planned: Callable[..., Any]) -> SearchDetail:
    return planned()[0]


def results(*best: str, task_metric: str = "log_loss") -> dict[TrialKey, TrialResult]:
    """Results in which the named configurations are the best, in this order."""
    found = {}
    for place, own in enumerate(portfolio(task_metric, 2, 500, None, 60.0)):
        loss = 0.1 * (best.index(own.name) + 1) if own.name in best else 1.0 + place / 100
        result = TrialResult(configuration=own, fold=0, status="done", loss=loss, seconds=1.0)
        found[result.key] = result
    return found


def test_generations_take_turns_around_the_best_kinds(detail: SearchDetail) -> None:
    found = results("splines", "hist_gradient_boosting_small", "extra_trees")
    families = [propose(detail, found, number)[0].family for number in (1, 2, 3, 4)]
    assert families == ["splines", "boosting", "extra_trees", "splines"]


def test_the_same_results_and_seed_give_the_same_proposals(detail: SearchDetail) -> None:
    found = results("hist_gradient_boosting")
    assert propose(detail, found, 1) == propose(detail, dict(reversed(found.items())), 1)
    other = detail.model_copy(update={"seed": 1})
    assert propose(other, found, 1) != propose(detail, found, 1)


@pytest.mark.parametrize("name", [own.name for own in portfolio("f1", 2, 500, None, 60.0)])
def test_proposals_lie_in_the_space_and_have_names_of_their_own(detail: SearchDetail, name: str) -> None:
    found = results(name)
    proposed: list[Configuration] = propose(detail, found, 1)
    leader = found[TrialKey(name, 0)].configuration if TrialKey(name, 0) in found else None
    assert 1 <= len(proposed) <= GENERATION_SIZE
    assert len({own.name for own in proposed}) == len(proposed)
    for own in proposed:
        for parameter, space in SPACES[own.family].items():
            value = own.params[parameter]
            inside = (
                value in space.choices
                if isinstance(space, CategoricalDistribution)
                else space.low <= value <= space.high
            )
            assert inside, (parameter, value)
        if leader is not None:
            assert own.params.keys() >= leader.params.keys()


def test_nothing_is_proposed_when_nothing_could_be_fitted(detail: SearchDetail) -> None:
    assert propose(detail, {}, 1) == []
