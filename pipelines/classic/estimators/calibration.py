"""Make probabilities mean what they say, where out-of-fold predictions show that it helps.

Two classes: a straight line through the log-odds (Platt 1999). More: one temperature (Guo et al. 2017,
arXiv:1706.04599). Both keep the order of rows or classes, so that what ranks well still does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from pipelines.classic.search.scoring import loss_of
from pipelines.spec.training import Task

Array = NDArray[Any]

SMALLEST = 1e-12  # keeps logarithms finite
FEWEST_ROWS = 100  # two numbers learnt from fewer rows are noise
CROSS_FOLDS = 5
MOST_ROWS = 10_000  # that decide; more cost time and change nothing
MOST_STEPS, SHORTEST_STEP, LONGEST_STEP = 50, 1e-8, 0.5
SLOPES = (0.05, 20.0)
RIDGE = 1e-6  # keeps Newton's method going where all answers are certain
SMALLEST_GAIN = 5e-4  # of the log loss; less is noise
PROBABILITY_METRICS = frozenset({"log_loss", "brier"})
MOST_HARM = 1e-3  # of the search's own loss, relative


class Calibrator(BaseEstimator):  # type: ignore[misc]
    """Log-odds times `slope` plus `intercept`; the intercept is for two classes only."""

    def __init__(self, slope: float = 1.0, intercept: float = 0.0) -> None:
        self.slope = slope
        self.intercept = intercept

    def apply(self, probabilities: Array) -> Array:
        """Return calibrated probabilities, shape (n, classes)."""
        scores = self.slope * np.log(np.clip(probabilities, SMALLEST, 1.0))
        if probabilities.shape[1] == 2:
            scores[:, 1] += self.intercept
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def calibrated(probabilities: Array, calibrator: Calibrator | None) -> Array:
    """Return probabilities through a calibrator, or as they are where there is none."""
    return probabilities if calibrator is None else calibrator.apply(probabilities)


@dataclass(frozen=True)
class CalibrationTrial:
    """What calibration would change, measured on rows it was not fitted to."""

    calibrator: Calibrator | None
    log_loss_before: float
    log_loss_after: float


def learn_calibrator(task: Task, metric: str, truth: Array, predicted: Array, seed: int) -> CalibrationTrial:
    """Return the calibrator of out-of-fold probabilities, or None where it does not help.

    It helps when, on rows it was not fitted to, it lowers the log loss, does not raise the Brier score of two classes,
    and leaves the search's own metric about where it was.

    Args:
        task: binary or multiclass.
        metric: The search's metric.
        truth: Class codes, shape (n,).
        predicted: Out-of-fold probabilities, shape (n, classes).
        seed: Decides the rows that each fit leaves out.
    """
    if len(truth) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(len(truth), MOST_ROWS, replace=False))
        truth, predicted = truth[rows], predicted[rows]
    before = loss_of(task, "log_loss", truth, predicted)
    if len(truth) < FEWEST_ROWS:
        return CalibrationTrial(None, before, before)
    part = np.random.default_rng(seed).permutation(len(truth)) % CROSS_FOLDS
    crossed = np.empty_like(predicted)
    for fold in range(CROSS_FOLDS):
        calibrator = fit_calibrator(truth[part != fold], predicted[part != fold])
        crossed[part == fold] = calibrator.apply(predicted[part == fold])
    after = loss_of(task, "log_loss", truth, crossed)
    helps = after <= before * (1 - SMALLEST_GAIN)
    if task == "binary":
        helps = helps and loss_of(task, "brier", truth, crossed) <= loss_of(task, "brier", truth, predicted)
    calibrator = fit_calibrator(truth, predicted)
    own_before, own_after = (
        loss_of(task, metric, truth, values) for values in (predicted, calibrator.apply(predicted))
    )
    helps = helps and own_after <= own_before * (1 + MOST_HARM)
    return CalibrationTrial(calibrator if helps else None, before, after)


def loss_calibrated(task: Task, metric: str, truth: Array, predicted: Array) -> float:
    """Return the loss that predictions would have once calibrated: what racing compares.

    A model whose probabilities are too bold is not a bad model, since it is calibrated before it is averaged. Only
    metrics that look at probabilities change; with few rows none does.
    """
    if metric in PROBABILITY_METRICS and len(truth) >= FEWEST_ROWS:
        return min(
            loss_of(task, metric, truth, predicted),
            loss_of(task, metric, truth, fit_calibrator(truth, predicted).apply(predicted)),
        )
    return loss_of(task, metric, truth, predicted)


def fit_calibrator(truth: Array, predicted: Array) -> Calibrator:
    """Return the calibrator with the lowest log loss on class codes (n,) and probabilities (n, classes).

    Found by Newton's method, which needs a handful of passes over the rows.
    """
    logs = np.log(np.clip(predicted, SMALLEST, 1.0))
    if predicted.shape[1] == 2:
        slope, intercept = _newton_for_two(truth, logs[:, 1] - logs[:, 0])
        return Calibrator(slope, intercept)
    return Calibrator(_newton_for_more(truth, logs))


def _newton_for_two(truth: Array, log_odds: Array) -> tuple[float, float]:
    slope, intercept = 1.0, 0.0
    for _ in range(MOST_STEPS):
        positive = 1.0 / (1.0 + np.exp(-np.clip(slope * log_odds + intercept, -35.0, 35.0)))
        error, weight = positive - truth, positive * (1.0 - positive)
        gradient = np.array([error @ log_odds, error.sum()])
        moment = weight @ log_odds
        curvature = np.array([[weight @ log_odds**2, moment], [moment, weight.sum()]]) + RIDGE * np.eye(2)
        step = np.clip(np.linalg.solve(curvature, gradient), -LONGEST_STEP, LONGEST_STEP)
        slope, intercept = float(np.clip(slope - step[0], *SLOPES)), float(intercept - step[1])
        if np.abs(step).max() < SHORTEST_STEP:
            break
    return slope, intercept


def _newton_for_more(truth: Array, logs: Array) -> float:
    slope, own = 1.0, logs[np.arange(len(truth)), truth]
    for _ in range(MOST_STEPS):
        scores = slope * logs
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        mean = (shares * logs).sum(axis=1)
        gradient = float((mean - own).sum())
        curvature = float(((shares * logs**2).sum(axis=1) - mean**2).sum()) + RIDGE
        step = float(np.clip(gradient / curvature, -LONGEST_STEP, LONGEST_STEP))
        slope = float(np.clip(slope - step, *SLOPES))
        if abs(step) < SHORTEST_STEP:
            break
    return slope
