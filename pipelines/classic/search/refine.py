"""New configurations around the best ones, proposed by Optuna when the portfolio has been tried.

A generation follows from the results so far and the seed, so that it is the same wherever it is proposed. Optuna's own
storage is not used: the results in the store are the study.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pipelines.classic.search.configuration import Configuration, Family
from pipelines.classic.search.racing import Results
from pipelines.classic.search.trials import SearchDetail, TrialResult

GENERATION_SIZE = 4
FAMILIES_TO_REFINE = 3  # generations take turns among the best so many families

Space = dict[str, BaseDistribution]

SPACES: dict[Family, Space] = {
    "boosting": {
        "learning_rate": FloatDistribution(0.015, 0.2, log=True),
        "max_leaf_nodes": IntDistribution(4, 128, log=True),
        "min_samples_leaf": IntDistribution(2, 100, log=True),
        "max_features": FloatDistribution(0.2, 1.0),
        "l2_regularization": FloatDistribution(1e-3, 30.0, log=True),
    },
    "extra_trees": {
        "min_samples_leaf": IntDistribution(1, 20, log=True),
        "max_features": FloatDistribution(0.1, 1.0),
    },
    "random_forest": {
        "min_samples_leaf": IntDistribution(1, 20, log=True),
        "max_features": FloatDistribution(0.1, 1.0),
    },
    "linear": {"strength": FloatDistribution(1e-3, 1e4, log=True)},
    "splines": {"strength": FloatDistribution(1e-3, 1e4, log=True), "knots": IntDistribution(3, 12)},
    "kernel": {
        "strength": FloatDistribution(1e-4, 1e2, log=True),
        "components": IntDistribution(100, 1000, log=True),
    },
    "network": {
        "alpha": FloatDistribution(1e-6, 1.0, log=True),
        "learning_rate_init": FloatDistribution(3e-4, 1e-2, log=True),
        "scaling": CategoricalDistribution(["quantile", "standard"]),
    },
}

_Named = tuple[str, Configuration, float]


def propose(detail: SearchDetail, results: Results, number: int) -> list[Configuration]:
    """Return the configurations of refining generation `number` (from 1), unlike any tried; none when nothing was
    fitted."""
    tried = [result for result in results.values() if result.fold == 0 and result.loss is not None]
    tried.sort(key=lambda result: (result.loss, result.configuration.name))
    leaders = _leaders(tried)
    if not leaders:
        return []
    leader = leaders[(number - 1) % len(leaders)].configuration
    study = _study(leader, tried, detail.seed + number)
    known = {result.configuration.model_copy(update={"name": ""}).to_bytes() for result in tried}
    proposed = []
    for place in range(GENERATION_SIZE):
        params = {**leader.params, **study.ask(dict(SPACES[leader.family])).params}
        name = f"{leader.family}_refined_{number:03d}{chr(ord('a') + place)}"
        configuration = leader.model_copy(update={"name": name, "params": params})
        if configuration.model_copy(update={"name": ""}).to_bytes() not in known:
            proposed.append(configuration)
    return proposed


def _leaders(tried: list[TrialResult]) -> list[TrialResult]:
    """Return the best result of each kind of configuration, best first, for the best few kinds."""
    leaders: dict[tuple[Any, ...], TrialResult] = {}
    for result in tried:
        leaders.setdefault(_kind(result.configuration), result)
    return list(leaders.values())[:FAMILIES_TO_REFINE]


def _kind(configuration: Configuration) -> tuple[Any, ...]:
    fixed = {name: value for name, value in configuration.params.items() if name not in SPACES[configuration.family]}
    return (configuration.family, configuration.style, sorted(fixed.items(), key=str).__repr__())


def _study(leader: Configuration, tried: list[TrialResult], seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # multivariate sampling is named so
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=True, constant_liar=True)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    space = SPACES[leader.family]
    for result in tried:
        configuration = result.configuration
        if configuration.family == leader.family:
            params = {name: _inside(name, configuration.params.get(name), own) for name, own in space.items()}
            trial = optuna.trial.create_trial(params=params, distributions=dict(space), value=result.loss)
            study.add_trial(trial)
    return study


_DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "max_features": 1.0,
    "l2_regularization": 0.0,
    "strength": 1.0,
    "knots": 5,
    "components": 300,
    "alpha": 1e-4,
    "learning_rate_init": 1e-3,
    "scaling": "standard",
}


def _inside(name: str, value: Any, space: BaseDistribution) -> Any:
    """Return a parameter, or its default, moved into the space: Optuna takes no others."""
    value = _DEFAULTS[name] if value is None else value
    if isinstance(space, CategoricalDistribution):
        return value if value in space.choices else space.choices[0]
    assert isinstance(space, FloatDistribution | IntDistribution)
    bounded = min(max(value if isinstance(value, int | float) else _DEFAULTS[name], space.low), space.high)
    convert: Callable[[Any], Any] = int if isinstance(space, IntDistribution) else float
    return convert(bounded)
