"""From finished trials to a fitted pipeline and its schedule."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from pipelines.classic.estimators.calibration import Calibrator
from pipelines.classic.search.assembly import Choice, Refitted, assemble, choose, refit, refit_iterations, refit_places
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.fit_pool import default_jobs
from pipelines.classic.search.racing import Results
from pipelines.classic.search.rows import Rows, SearchRows
from pipelines.classic.search.scoring import metric_value
from pipelines.classic.search.trials import CalibrationRecord, LeftOut, Member, Schedule, SearchDetail, TrialResult

LOG = logging.getLogger(__name__)

Array = NDArray[Any]

SHARE_FOR_REFITS = 0.85  # of the seconds left: the rest is for putting together and saving
ROWS_IN_FINGERPRINT = 2_000


def train_ensemble(
    detail: SearchDetail,
    results: Results,
    rows: Rows,
    chosen_rows: SearchRows,
    read_predictions: Callable[[TrialResult], Array],
    seconds_left: float | None,
    origin: dict[str, str],
) -> tuple[Pipeline, Schedule]:
    """Return the model and the schedule of a search whose trials are done.

    Args:
        detail: The plan.
        results: Its trials, and no others.
        rows: All training rows.
        chosen_rows: Those that trials were fitted on.
        read_predictions: Gives a trial's out-of-fold predictions.
        seconds_left: Of the budget; None where the budget is in trials, and then no clock is asked.
        origin: `model` and `snapshot_id`, for the schedule.

    Raises:
        TrainingError: If there is nothing to choose from.
    """
    started, jobs = time.monotonic(), default_jobs()
    available = float("inf") if seconds_left is None else max(0.0, seconds_left * SHARE_FOR_REFITS)
    choice = choose(detail, results, chosen_rows, read_predictions, available, jobs)
    places = refit_places(detail, chosen_rows, results, choice.weights, available, jobs)
    LOG.info("fitting %s to %d rows", ", ".join(choice.weights), len(places))
    left = None if seconds_left is None else max(0.0, available - (time.monotonic() - started))
    fitted = _refit(detail, results, rows, choice, places, left, jobs)
    if len(fitted) < len(choice.weights):
        chosen = choose(detail, results, chosen_rows, read_predictions, float("inf"), jobs, among=fitted)
        choice = replace(chosen, left_out=(*choice.left_out, *_not_whole(choice, fitted)))
    refitted = [fitted[name] for name in choice.weights]
    calibrators = [choice.calibrators[name] for name in choice.weights]
    weights = list(choice.weights.values())
    model = assemble(rows, [own.pipeline for own in refitted], weights, calibrators, choice.calibrator)
    members = tuple(
        Member(
            configuration=own.configuration,
            weight=weight,
            iterations=own.fitted.iterations,
            stopped=own.fitted.stopped,
            seconds=round(own.seconds, 3),
            calibration=_record(calibrator),
        )
        for weight, own, calibrator in zip(weights, refitted, calibrators, strict=True)
    )
    ordered = tuple(results[key] for key in sorted(results))
    schedule = Schedule(
        **origin,
        detail=detail,
        trials=ordered,
        cut_off=tuple(str(own.key) for own in ordered if own.status == "cut_off" or own.stopped),
        folds_judged=choice.folds,
        members=members,
        left_out=choice.left_out,
        num_refit_rows=len(places),
        refit_rows_sha256=hash_of_places(places),
        calibration=_record(choice.calibrator),
        cv_score=metric_value(detail.metric, choice.cv_loss),
        predictions_sha256=fingerprint(model, rows),
        libraries=libraries(),
        seconds=round(time.monotonic() - started, 3),
    )
    return model, schedule


def _refit(
    detail: SearchDetail,
    results: Results,
    rows: Rows,
    choice: Choice,
    places: Array,
    seconds_left: float | None,
    jobs: int,
) -> dict[str, Refitted]:
    """Return the members that could be fitted whole. The weightiest has no clock: there must be one in any case."""
    configurations = {result.configuration.name: result.configuration for result in results.values()}
    wanted = [
        (configurations[name], refit_iterations(detail, results, name, choice.folds, len(places)))
        for name in choice.weights
    ]
    clock = Clock.after(seconds_left)
    clocks = [clock if place else Clock() for place in range(len(wanted))]
    refitted = refit(detail, rows, wanted, places, clocks, jobs)
    return {own.configuration.name: own for own in refitted if own.is_whole}


def _not_whole(choice: Choice, fitted: Mapping[str, Refitted]) -> list[LeftOut]:
    reason = "the clock stopped its refit"
    missing = [name for name in choice.weights if name not in fitted]
    LOG.warning("%s: left out, %s", ", ".join(missing), reason)
    return [LeftOut(configuration=name, reason=reason) for name in missing]


def fingerprint(model: Pipeline, rows: Rows) -> str:
    """Return the hash of a model's answers, bit for bit, on training rows."""
    X = rows.X[:ROWS_IN_FINGERPRINT]  # noqa: N806 (scikit-learn's name)
    ensemble = model.steps[-1][1]
    answers = ensemble.predict_proba(X) if rows.classes else ensemble.predict(X)
    return hashlib.sha256(np.ascontiguousarray(answers, dtype="<f8").tobytes()).hexdigest()


def hash_of_places(places: Array) -> str:
    """Return the hash of which rows something was fitted to."""
    return hashlib.sha256(places.astype("<i8").tobytes()).hexdigest()


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that decide a fit's bits."""
    return {"numpy": np.__version__, "scikit-learn": sklearn.__version__, "scipy": scipy.__version__}


def _record(calibrator: Calibrator | None) -> CalibrationRecord | None:
    return None if calibrator is None else CalibrationRecord(slope=calibrator.slope, intercept=calibrator.intercept)
