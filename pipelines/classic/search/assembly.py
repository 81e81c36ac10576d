"""From the trials of a search to one fitted pipeline: choose the members, fit them to all rows, put them together."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from pipelines.classic.estimators.calibration import Calibrator, calibrated, learn_calibrator
from pipelines.classic.estimators.ensemble import EnsembleClassifier, EnsembleRegressor, select_weights
from pipelines.classic.search.budget import member_seconds
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.fitting import Fitted, fit_pipeline, told
from pipelines.classic.search.racing import complete_configurations, judged_folds
from pipelines.classic.search.rows import Rows, SearchRows
from pipelines.classic.search.scoring import mean_loss
from pipelines.classic.search.trials import LeftOut, SearchDetail, TrialKey, TrialResult
from pipelines.errors import TrainingError

LOG = logging.getLogger(__name__)

Array = NDArray[Any]
Results = Mapping[TrialKey, TrialResult]

MANY_CELLS = 4_000_000  # from here on one fit is worth all cores; below, fits run beside each other
FEWEST_REFIT_ROWS = 2_000
WHOLE_SHARE = 0.8  # of the iterations wanted
ITERATIONS_BY_ROWS = 0.2  # exponent: 1.5 times the iterations for 8 times the rows


@dataclass(frozen=True)
class Choice:
    """What selection came to: members with weights and calibrators, and the loss that their average had out of fold."""

    weights: dict[str, float]
    calibrators: dict[str, Calibrator | None]
    calibrator: Calibrator | None
    folds: tuple[int, ...]
    cv_loss: float
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Refitted:
    """One member fitted to all rows, for `wanted` iterations if the clock allowed."""

    configuration: Configuration
    pipeline: Pipeline
    fitted: Fitted
    wanted: int | None
    seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether the clock left enough of it: boosting that is stopped early answers far too cautiously."""
        done = self.fitted.iterations
        return done is None or self.wanted is None or done >= WHOLE_SHARE * self.wanted


def choose(
    detail: SearchDetail,
    results: Results,
    rows: SearchRows,
    read_predictions: Callable[[TrialResult], Array],
    seconds_left: float,
    jobs: int,
    among: Collection[str] | None = None,
) -> Choice:
    """Choose members and weights on out-of-fold predictions.

    Members whose refit would not fit into `seconds_left` are left out and said so, except the cheapest; `among` names
    those that may be chosen, where not all may.

    Raises:
        TrainingError: If no configuration has predictions; names the reason of each.
    """
    folds = judged_folds(detail, results)
    names = [name for name in complete_configurations(folds, results) if among is None or name in among]
    if not folds or not names:
        raise TrainingError(_nothing_fitted(detail, results))
    judged = np.concatenate([rows.folds.judged(fold) for fold in folds])
    fold_of = rows.folds.fold_of[judged]
    truth = rows.y[judged]
    predictions = {
        name: np.concatenate([read_predictions(results[TrialKey(name, fold)]) for fold in folds]) for name in names
    }
    # Along time the earlier folds learn from little and rank worse than the model that will be fitted: calibrated on
    # them its probabilities would shrink towards the base rate.
    alike = fold_of == min(folds) if detail.by_time else np.ones(len(truth), dtype=bool)
    calibrators: dict[str, Calibrator | None] = dict.fromkeys(names)
    if detail.calibrate and detail.num_classes:
        for name in names:
            trial = learn_calibrator(detail.task, detail.metric, truth[alike], predictions[name][alike], detail.seed)
            calibrators[name] = trial.calibrator
            predictions[name] = calibrated(predictions[name], trial.calibrator)
    weights, left_out = _select(detail, results, predictions, truth, fold_of, seconds_left, jobs)
    average = np.asarray(sum(weight * predictions[name] for name, weight in weights.items()))
    last: Calibrator | None = None
    if detail.calibrate and detail.num_classes:
        trial = learn_calibrator(detail.task, detail.metric, truth[alike], average[alike], detail.seed)
        last = trial.calibrator
        LOG.info(
            "calibration %s: log loss %.5g without, %.5g with",
            "kept" if last else "not kept",
            trial.log_loss_before,
            trial.log_loss_after,
        )
    loss = mean_loss(detail.task, detail.metric, truth, calibrated(average, last), fold_of)
    return Choice(weights, {name: calibrators[name] for name in weights}, last, folds, loss, tuple(left_out))


def refit(
    detail: SearchDetail,
    rows: Rows,
    wanted: Sequence[tuple[Configuration, int | None]],
    places: Array,
    clocks: Sequence[Clock],
    jobs: int,
) -> list[Refitted]:
    """Fit configurations, each with its number of iterations and its clock, to the rows at `places`.

    The results depend on neither `jobs` nor the order in which fits end.
    """
    shape = rows.shape.model_copy(update={"num_rows": len(places)})
    X, y = (rows.X, rows.y) if len(places) == len(rows.y) else (rows.X[places], rows.y[places])  # noqa: N806
    alone = X.size >= MANY_CELLS

    def one(place: int) -> Refitted:
        (configuration, iterations), clock = wanted[place], clocks[place]
        started = time.monotonic()
        pipeline, fitted = fit_pipeline(
            configuration, shape, detail.seed, X, y, clock, iterations, jobs if alone else 1
        )
        return Refitted(configuration, pipeline, fitted, iterations, time.monotonic() - started)

    # Warnings are caught here and not in each thread: the machinery behind them is shared by all.
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1 if alone else jobs) as pool:
        warnings.simplefilter("always")
        refitted = list(pool.map(one, range(len(wanted))))
    for line in told(caught):
        LOG.warning("%s", line)
    return refitted


def assemble(
    rows: Rows,
    members: Iterable[Pipeline],
    weights: Iterable[float],
    calibrators: Iterable[Calibrator | None],
    calibrator: Calibrator | None,
) -> Pipeline:
    """Return the one pipeline that is saved: the reader, then the ensemble."""
    if not rows.classes:
        return Pipeline([("read", rows.reader), ("model", EnsembleRegressor(list(members), list(weights)))])
    ensemble = EnsembleClassifier(list(members), list(weights), list(rows.classes), list(calibrators), calibrator)
    return Pipeline([("read", rows.reader), ("model", ensemble)])


def refit_iterations(
    detail: SearchDetail, results: Results, name: str, folds: Sequence[int], num_rows: int
) -> int | None:
    """Return how many iterations a member gets on `num_rows` rows: the mean of what was best on its folds.

    Boosting gets more where there are more rows than a fold learnt from, since more rows bear more iterations.
    """
    kept = [results[TrialKey(name, fold)].kept_iterations for fold in folds]
    known = [iterations for iterations in kept if iterations is not None]
    if not known:
        return None
    more = 1.0
    if results[TrialKey(name, folds[0])].configuration.family == "boosting":
        learnt = detail.num_search_rows * (1 - 1 / (detail.num_folds + detail.by_time))
        more = max(1.0, num_rows / max(1.0, learnt)) ** ITERATIONS_BY_ROWS
    return max(1, round(more * sum(known) / len(known)))


def refit_places(
    detail: SearchDetail, rows: SearchRows, results: Results, names: Iterable[str], seconds: float, jobs: int
) -> Array:
    """Return which rows members are fitted to: all, or as many as the seconds left allow, the search's own among
    them."""
    num_rows = detail.num_rows
    most = max((member_seconds(detail, results, name) for name in names), default=0.0)
    if most <= seconds or num_rows == detail.num_search_rows:
        return np.arange(num_rows)
    count = max(FEWEST_REFIT_ROWS, detail.num_search_rows, int(num_rows * seconds / most))
    if count >= num_rows:
        return np.arange(num_rows)
    return sample_with(rows, num_rows, count, detail.seed)


def sample_with(rows: SearchRows, num_rows: int, count: int, seed: int) -> Array:
    """Return the places of `count` rows of all `num_rows`, those of the search among them, ascending."""
    others = np.setdiff1d(np.arange(num_rows), rows.places, assume_unique=True)
    added = np.random.default_rng(seed).choice(others, count - len(rows.places), replace=False)
    return np.sort(np.concatenate([rows.places, added]))


def _select(
    detail: SearchDetail,
    results: Results,
    predictions: dict[str, Array],
    truth: Array,
    fold_of: Array,
    seconds_left: float,
    jobs: int,
) -> tuple[dict[str, float], list[LeftOut]]:
    candidates = dict(predictions)
    left_out: list[LeftOut] = []
    while True:
        weights = select_weights(candidates, detail.task, detail.metric, truth, fold_of, detail.seed)
        seconds = {name: member_seconds(detail, results, name) for name in weights}
        total = max(sum(seconds.values()) / jobs, *seconds.values())
        if total <= seconds_left or len(candidates) == 1:
            return weights, left_out
        # What costs most for its weight goes first; the others share its weight anew.
        slowest = max(weights, key=lambda name: (seconds[name] / weights[name], name))
        reason = f"its refit would take about {seconds[slowest]:.1f} s of the {max(0.0, seconds_left):.1f} s left"
        left_out.append(LeftOut(configuration=slowest, reason=reason))
        LOG.warning("%s is left out of the ensemble: %s", slowest, reason)
        del candidates[slowest]


def _nothing_fitted(detail: SearchDetail, results: Results) -> str:
    lines = [
        f"{result.key} {result.status}: {result.reason or 'its metric means nothing there'}"
        for result in results.values()
    ]
    found = "\n".join(f"  {line}" for line in sorted(lines)) or "  no trial had the time to end"
    return (
        f"None of {len(detail.configurations)} configurations could be fitted to {detail.num_search_rows} rows; at "
        f"least 1 is needed. No model was made:\n{found}"
    )
