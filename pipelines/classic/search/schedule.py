"""Do a search again from its schedule, without any clock: the same predictions, bit for bit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from pipelines.classic.estimators.calibration import Calibrator
from pipelines.classic.search.assembly import assemble, refit, sample_with
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.fit_pool import FitPool, default_jobs
from pipelines.classic.search.rows import read_rows, search_rows, write_rows
from pipelines.classic.search.searching import fit_request
from pipelines.classic.search.training import fingerprint, hash_of_places, libraries
from pipelines.classic.search.trials import CalibrationRecord, Schedule, TrialKey
from pipelines.errors import IntegrityError
from pipelines.spec.training import Training

SECONDS_FOR_ONE_FIT = 3600.0  # a replay has no budget; what hangs must end


def replay(schedule: Schedule, table: pa.Table, training: Training) -> Pipeline:
    """Fit the schedule's members again, to the same rows and as far as they came then, without any clock.

    The answer predicts the same bits as the first model, on a faster or slower machine and with any number of cores.
    What it rests on besides the rows is the versions of the libraries, and a processor for which they choose the same
    kernels.

    Args:
        schedule: Of a search.
        table: The training rows of its snapshot.
        training: The spec's section.

    Raises:
        IntegrityError: If the rows are not those of the search, or the model answers differently.
    """
    detail = schedule.detail
    rows = read_rows(table, training, detail.time_column)
    places = np.arange(detail.num_rows)
    if len(rows.y) == detail.num_rows and schedule.num_refit_rows < detail.num_rows:
        chosen = search_rows(rows, detail.num_search_rows, detail.seed)
        places = sample_with(chosen, detail.num_rows, schedule.num_refit_rows, detail.seed)
    found = hash_of_places(places)
    if len(rows.y) != detail.num_rows or found != schedule.refit_rows_sha256:
        raise IntegrityError(
            f"The schedule is of {detail.num_rows} training rows; {len(rows.y)} were given, or in another order. "
            "Nothing was replayed."
        )
    wanted = [(member.configuration, member.iterations) for member in schedule.members]
    refitted = refit(detail, rows, wanted, places, [Clock()] * len(wanted), default_jobs())
    model = assemble(
        rows,
        [own.pipeline for own in refitted],
        [member.weight for member in schedule.members],
        [_calibrator(member.calibration) for member in schedule.members],
        _calibrator(schedule.calibration),
    )
    answered = fingerprint(model, rows)
    if answered != schedule.predictions_sha256:
        different = {name: f"{was} then, {libraries().get(name)} now" for name, was in schedule.libraries.items()}
        raise IntegrityError(
            f"The replayed model answers differently: {answered[:16]} instead of {schedule.predictions_sha256[:16]}; "
            f"the training rows, the processor or the libraries ({different}) are others. The replay was not used."
        )
    return model


def differing_trials(
    schedule: Schedule, table: pa.Table, training: Training, jobs: int | None = None
) -> list[TrialKey]:
    """Fit every finished trial again and return those whose out-of-fold predictions are not the recorded ones.

    An empty list means that selection, which follows from these predictions, would come to the same members and
    weights.
    """
    rows = read_rows(table, training, schedule.detail.time_column)
    waiting = {result.key: result for result in schedule.trials if result.status == "done"}
    done = dict(waiting)
    differing = []
    with TemporaryDirectory(prefix="tandem-replay-") as folder:
        write_rows(search_rows(rows, schedule.detail.num_search_rows, schedule.detail.seed), Path(folder))
        with FitPool(Path(folder), jobs or default_jobs()) as pool:
            while waiting or pool.running:
                while waiting and pool.num_free:
                    key, result = waiting.popitem()
                    request = fit_request(schedule.detail, result.configuration, key.fold, None, result.iterations)
                    pool.submit(key, request, SECONDS_FOR_ONE_FIT)
                for answer in pool.wait(1.0):
                    found = (answer.answer or {}).get("predictions_sha256")
                    if found != done[answer.key].predictions_sha256:
                        differing.append(answer.key)
    return sorted(differing)


def _calibrator(record: CalibrationRecord | None) -> Calibrator | None:
    return None if record is None else Calibrator(record.slope, record.intercept)
