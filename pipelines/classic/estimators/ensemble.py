"""Average several models, with weights chosen on predictions for rows that the models had not seen.

Selection source: Caruana, Niculescu-Mizil, Crew, Ksikes 2004, "Ensemble selection from libraries of models": models are
added one at a time, with replacement, whichever makes the average best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from pipelines.classic.estimators.calibration import Calibrator, calibrated
from pipelines.classic.search.fitting import predict_rows
from pipelines.classic.search.scoring import fold_slices, mean_of_folds
from pipelines.spec.training import Task

Array = NDArray[Any]

MOST_ROUNDS = 40
PATIENCE_ROUNDS = 6
SMALLEST_WEIGHT = 0.02  # less than this costs time in serving and changes nothing
MOST_ROWS = 20_000  # rows that selection looks at; more cost seconds and change nothing


def select_weights(
    predictions: Mapping[str, Array], task: Task, metric: str, truth: Array, fold_of: Array, seed: int
) -> dict[str, float]:
    """Return the weights, adding up to 1, of the models whose average has the lowest loss.

    Args:
        predictions: By model, out-of-fold probabilities (n, classes) or values (n,).
        task: binary, multiclass or regression.
        metric: What is optimised.
        truth: Class codes or values, shape (n,).
        fold_of: The fold that judges each row, shape (n,).
        seed: Decides which rows are looked at when there are very many.
    """
    rows = _rows_to_look_at(fold_of, seed)
    rows = rows[np.argsort(fold_of[rows], kind="stable")]
    truth, folds = truth[rows], fold_slices(fold_of[rows])
    seen = {name: predictions[name][rows] for name in sorted(predictions)}
    total = np.zeros_like(next(iter(seen.values())))
    chosen: list[str] = []
    best_loss, best_length = float("inf"), 1
    while len(chosen) < MOST_ROUNDS and len(chosen) - best_length < PATIENCE_ROUNDS:
        losses = {
            name: mean_of_folds(task, metric, truth, (total + predicted) / (len(chosen) + 1), folds)
            for name, predicted in seen.items()
        }
        name = min(losses, key=lambda name: (losses[name], name))
        chosen.append(name)
        total = total + seen[name]
        if losses[name] < best_loss:
            best_loss, best_length = losses[name], len(chosen)
    weights = {name: chosen[:best_length].count(name) / best_length for name in dict.fromkeys(chosen[:best_length])}
    return without_small(weights)


def without_small(weights: Mapping[str, float], smallest: float = SMALLEST_WEIGHT) -> dict[str, float]:
    """Return the weights that are not tiny, adding up to 1, the largest first."""
    kept = {name: weight for name, weight in weights.items() if weight >= smallest}
    total = sum(kept.values())
    return {name: kept[name] / total for name in sorted(kept, key=lambda name: (-kept[name], name))}


def _rows_to_look_at(fold_of: Array, seed: int) -> Array:
    rows = np.flatnonzero(fold_of >= 0)
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


class _WeightedEnsemble(BaseEstimator):  # type: ignore[misc]
    """Fitted pipelines whose answers are averaged. It is put together by the search, and never fitted itself."""

    def __init__(self, members: list[Any] | None = None, weights: list[float] | None = None) -> None:
        self.members = members
        self.weights = weights

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.members)

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803 (scikit-learn's name)
        """Return self: the members are fitted already."""
        return self

    def _average(self, answers: Iterable[Array]) -> Array:
        assert self.weights, "an ensemble without members answers nothing"
        total: Any = 0.0
        for weight, answer in zip(self.weights, answers, strict=True):
            total = total + weight * answer
        return np.asarray(total)


class EnsembleRegressor(RegressorMixin, _WeightedEnsemble):  # type: ignore[misc]
    """The weighted mean of its members' values."""

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return values in the target's unit, shape (n,)."""
        return self._average(predict_rows(member, X, 0) for member in self.members or ())


class EnsembleClassifier(ClassifierMixin, _WeightedEnsemble):  # type: ignore[misc]
    """The weighted mean of its members' probabilities, each calibrated where that helped, and the mean again.

    Members speak in class codes; `labels` are the classes behind the codes, in their order.
    """

    def __init__(
        self,
        members: list[Any] | None = None,
        weights: list[float] | None = None,
        labels: list[Any] | None = None,
        calibrators: list[Calibrator | None] | None = None,
        calibrator: Calibrator | None = None,
    ) -> None:
        super().__init__(members, weights)
        self.labels = labels
        self.calibrators = calibrators
        self.calibrator = calibrator

    @property
    def classes_(self) -> Array:
        """The classes, in the order of the probabilities' columns."""
        return np.asarray(self.labels)

    def predict_proba(self, X: Array) -> Array:  # noqa: N803
        """Return probabilities, shape (n, classes)."""
        members, labels, calibrators = self.members or [], self.labels or [], self.calibrators or []
        answers = (predict_rows(member, X, len(labels)) for member in members)
        probabilities = self._average(map(calibrated, answers, calibrators))
        return calibrated(probabilities, self.calibrator)

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return the most probable class of each row, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
