"""Fit one configuration, on a fold or on all rows, in this process and bounded by a clock."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from pipelines.classic.estimators.boosting import fit_boosting
from pipelines.classic.estimators.forests import fit_forest
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.configuration import Configuration, Shape, build_encoder, build_estimator
from pipelines.classic.search.threads import openmp_threads, pin_blas

Array = NDArray[Any]

MANY_ROWS_TO_PREDICT = (
    50_000  # for fewer, threads wait for each other longer than they work: trees are asked one by one
)
_ITERATIONS_NAME = {"boosting": "max_iter", "extra_trees": "n_estimators", "random_forest": "n_estimators"}


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator and what bounded it.

    `iterations` that were run (None for families that have none); `stopped` when the clock ended them. Fitting again
    with that many iterations and no clock gives the same bits.
    """

    estimator: BaseEstimator
    iterations: int | None
    kept_iterations: int | None
    stopped: bool


def fit_encoded(
    configuration: Configuration,
    shape: Shape,
    seed: int,
    X: Array,  # noqa: N803
    y: Array,
    clock: Clock,
    iterations: int | None = None,
    validation: tuple[Array, Array] | None = None,
    threads: int = 1,
) -> Fitted:
    """Fit a configuration's estimator to rows that its encoder has encoded; warnings are left to the caller.

    Args:
        configuration: What to fit.
        shape: Of the data.
        seed: Of the search.
        X: Encoded rows, shape (n, columns).
        y: Codes or values, shape (n,).
        clock: Ends iterative fits; never for a replay.
        iterations: Upper bound in place of the configuration's own, for a refit or a replay.
        validation: Encoded rows and targets by which boosting stops.
        threads: Threads for boosting and forests; the result does not depend on it.
    """
    estimator = build_estimator(configuration, shape, seed)
    name = _ITERATIONS_NAME.get(configuration.family)
    if name is not None and iterations is not None:
        estimator.set_params(**{name: iterations})
    pin_blas()
    if configuration.family == "boosting":
        with openmp_threads(threads):
            ran, stopped = fit_boosting(estimator, X, y, clock, _known_classes(validation, y, shape))
        return Fitted(estimator, ran, estimator.n_iter_, stopped)
    if name is not None:
        ran, stopped = fit_forest(estimator, X, y, clock, threads)
        return Fitted(estimator, ran, ran, stopped)
    return Fitted(estimator.fit(X, y), None, None, stopped=False)


def fit_pipeline(
    configuration: Configuration,
    shape: Shape,
    seed: int,
    X: Array,  # noqa: N803
    y: Array,
    clock: Clock,
    iterations: int | None,
    threads: int = 1,
) -> tuple[Pipeline, Fitted]:
    """Fit encoder and estimator to a reader's matrix, as a pipeline; see `fit_encoded`."""
    encoder = build_encoder(configuration, shape, seed)
    fitted = fit_encoded(configuration, shape, seed, encoder.fit_transform(X, y), y, clock, iterations, None, threads)
    return Pipeline([("encode", encoder), ("model", fitted.estimator)]), fitted


def predict_rows(estimator: Any, X: Array, num_classes: int) -> Array:  # noqa: N803
    """Return probabilities (n, num_classes), 0 for classes the estimator has not seen, or values (n,)."""
    pin_blas()
    with openmp_threads(1 if len(X) < MANY_ROWS_TO_PREDICT else joblib.cpu_count()):
        if num_classes == 0:
            return np.asarray(estimator.predict(X), dtype=np.float64)
        predicted = np.zeros((len(X), num_classes))
        predicted[:, np.asarray(estimator.classes_, dtype=np.int64)] = estimator.predict_proba(X)
        return predicted


def told(caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return each different warning once, as one line."""
    lines = [f"{warning.category.__name__}: {' '.join(str(warning.message).split())[:200]}" for warning in caught]
    return tuple(dict.fromkeys(lines))


def _known_classes(validation: tuple[Array, Array] | None, y: Array, shape: Shape) -> tuple[Array, Array] | None:
    """Return the validation rows whose class occurs among the training rows: boosting refuses any others."""
    if validation is None or shape.num_classes == 0:
        return validation
    known = np.isin(validation[1], np.unique(y))
    return (validation[0][known], validation[1][known]) if known.any() else None
