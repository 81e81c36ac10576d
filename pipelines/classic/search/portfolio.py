"""The configurations that every search starts with, in the order in which they are tried.

Strong defaults of unlike kinds: what wins differs from data to data, and unlike models average well. A name keeps its
meaning for ever; a changed configuration gets a new name.
"""

from __future__ import annotations

from typing import Any

from pipelines.classic.search.configuration import Configuration, Family

SECONDS_PER_ROW = {"kernel": 1e-4, "network": 2.5e-4}  # of one fit, about; these kinds cannot stop half-way
THRESHOLD_METRICS = frozenset({"f1", "f1_macro", "recall", "balanced_accuracy"})
ABSOLUTE_METRICS = frozenset({"mae", "median_absolute_error"})
SKEWED = 1.0  # skewness of a positive target from which its logarithm is tried too


def _one(name: str, family: Family, style: Any, **params: Any) -> Configuration:
    return Configuration(name=name, family=family, style=style, params=params)


def portfolio(
    metric: str, num_classes: int, num_rows: int, skewness: float | None, fit_seconds: float
) -> tuple[Configuration, ...]:
    """Return the configurations for a task, the most promising of each kind first.

    Args:
        metric: The search's metric.
        num_classes: Classes, 0 for regression.
        num_rows: Rows that the search fits on; some kinds are too slow for many.
        skewness: Of the target, for regression of positive targets; else None.
        fit_seconds: What one fit may take; kinds that would take longer are left out.
    """
    chosen = _for_classes(metric) if num_classes else _for_values(metric, skewness)
    return tuple(own for own in chosen if SECONDS_PER_ROW.get(own.family, 0.0) * num_rows <= fit_seconds)


_SLOW = {"learning_rate": 0.04, "max_features": 0.5, "l2_regularization": 1.0, "min_samples_leaf": 10, "max_iter": 2000}
_SMALL = {"learning_rate": 0.08, "max_leaf_nodes": 8, "max_features": 0.7, "max_iter": 2000}
_TARGET = {"learning_rate": 0.06, "max_leaf_nodes": 20, "max_features": 0.6, "min_samples_leaf": 30, "max_iter": 2000}
_REGULARISED = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 5,
    "max_features": 0.3,
    "l2_regularization": 10.0,
    "max_iter": 2000,
}
_NETWORK = {"hidden_layer_sizes": [100, 50], "early_stopping": True, "max_iter": 200, "learning_rate_init": 2e-3}
_WIDE_NETWORK = {
    "hidden_layer_sizes": [256],
    "alpha": 0.1,
    "early_stopping": True,
    "max_iter": 200,
    "learning_rate_init": 3e-3,
}


def _for_classes(metric: str) -> list[Configuration]:
    chosen = [
        _one("hist_gradient_boosting", "boosting", "native", learning_rate=0.1, max_iter=1000),
        _one("extra_trees", "extra_trees", "target", n_estimators=300, min_samples_leaf=2),
        _one("linear", "linear", "dense", strength=1.0),
        _one("hist_gradient_boosting_small", "boosting", "native", **_SMALL),
        _one("splines", "splines", "dense", strength=10.0),
        _one("hist_gradient_boosting_slow", "boosting", "native", **_SLOW),
        _one("network_wide", "network", "dense", **_WIDE_NETWORK),
        _one("hist_gradient_boosting_target", "boosting", "target", **_TARGET),
        _one("kernel", "kernel", "dense", strength=0.3, components=500, scaling="quantile"),
        _one("hist_gradient_boosting_regularised", "boosting", "target", **_REGULARISED),
        _one("random_forest", "random_forest", "target", n_estimators=200, min_samples_leaf=2, max_features=0.3),
        _one("linear_strong", "linear", "dense", strength=30.0),
        _one("network", "network", "dense", scaling="quantile", **_NETWORK),
    ]
    if metric in THRESHOLD_METRICS:
        balanced = {**_SMALL, "class_weight": "balanced"}
        chosen.insert(1, _one("hist_gradient_boosting_balanced", "boosting", "native", **balanced))
        chosen.insert(2, _one("linear_balanced", "linear", "dense", strength=1.0, class_weight="balanced"))
    return chosen


def _for_values(metric: str, skewness: float | None) -> list[Configuration]:
    chosen = [
        _one("hist_gradient_boosting", "boosting", "native", learning_rate=0.1, max_iter=1000),
        _one("extra_trees", "extra_trees", "target", n_estimators=200, max_features=0.6, min_samples_leaf=2),
        _one("linear", "linear", "dense", strength=10.0),
        _one("hist_gradient_boosting_slow", "boosting", "native", **_SLOW),
        _one("splines", "splines", "dense", strength=10.0),
        _one("hist_gradient_boosting_small", "boosting", "native", **_SMALL),
        _one("network", "network", "dense", scaling="quantile", **_NETWORK),
        _one("hist_gradient_boosting_target", "boosting", "target", **_TARGET),
        _one("kernel", "kernel", "dense", strength=0.1, components=500, scaling="quantile"),
        _one("hist_gradient_boosting_regularised", "boosting", "target", **_REGULARISED),
        _one("random_forest", "random_forest", "target", n_estimators=200, min_samples_leaf=2, max_features=0.3),
        _one("linear_strong", "linear", "dense", strength=300.0),
    ]
    if metric in ABSOLUTE_METRICS:
        absolute = {"loss": "absolute_error"}
        chosen.insert(1, _one("hist_gradient_boosting_absolute", "boosting", "native", **_SLOW, **absolute))
        chosen.insert(2, _one("hist_gradient_boosting_absolute_target", "boosting", "target", **_TARGET, **absolute))
    if skewness is not None and skewness > SKEWED:
        chosen.insert(
            3,
            _one(
                "hist_gradient_boosting_gamma", "boosting", "native", **{**_SLOW, "learning_rate": 0.08}, loss="gamma"
            ),
        )
        chosen.insert(4, _one("splines_log", "splines", "dense", strength=10.0, target="log"))
        chosen.append(_one("linear_log", "linear", "dense", strength=30.0, target="log"))
    return chosen
