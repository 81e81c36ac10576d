"""How good a classic champion was in one window: measured where labels have come, estimated where they have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.classic.evaluation.predictions import CHALLENGER
from pipelines.data.profiles import Profile
from pipelines.gates.bootstrap import seed_from
from pipelines.monitoring.anomalies.arrival import odd_labels
from pipelines.monitoring.answers import read_answered
from pipelines.monitoring.column_drift import profile_of_predictions
from pipelines.monitoring.error_model import estimate_regression
from pipelines.monitoring.estimates import estimate_window
from pipelines.monitoring.known import Known, known_from
from pipelines.monitoring.labels import Labelled
from pipelines.monitoring.measured import measure_window
from pipelines.records import Evaluation
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.labelling import join_window
from pipelines.steps.watched import Watched
from pipelines.steps.watching import Performed
from pipelines.store.verified import fetch_verified


@dataclass(frozen=True)
class Promoted:
    """A champion's predictions on the holdout that it was promoted by: how they are spread, and how right they were."""

    answers: Profile
    known: Known


def read_promoted(context: Context[ClassicSpec], evaluation: Evaluation) -> Promoted | None:
    """Return what a champion predicted when it was promoted; None where that was not kept. Raises `IntegrityError`."""
    if evaluation.predictions_key is None or evaluation.predictions_sha256 is None:
        return None
    with fetch_verified(context.store, evaluation.predictions_key, evaluation.predictions_sha256) as path:
        known = known_from(read_answered(path, context.spec.training.task, CHALLENGER, has_truth=True))
        own = [name for name in pq.read_schema(path).names if name.partition(".")[0] == CHALLENGER]
        table = pq.read_table(path, columns=own, memory_map=False)
    renamed = [name.replace(CHALLENGER, "prediction", 1) for name in table.column_names]
    return Promoted(profile_of_predictions(table.rename_columns(renamed)), known)


def perform(
    context: Context[ClassicSpec],
    watched: Watched,
    before: Sequence[Watched],
    evaluation: Evaluation,
    promoted: Promoted | None,
    as_of: datetime,
    scored: Path,
    folder: Path,
) -> Performed:
    """Return the champion's figures in a window, beside what they were on the holdout that it was promoted by.

    Args:
        context: The model's surroundings.
        watched: The window.
        before: Windows that the same version answered earlier, the oldest first: their labels teach the estimate.
        evaluation: Of the champion.
        promoted: Its predictions then; None where they are not known.
        as_of: Labels that came later are not looked at.
        scored: The answers.
        folder: Takes temporary files.

    Raises:
        DataError: If answers or labels do not have the columns that the spec names.
        IntegrityError: If anything stored is not what was written.
    """
    training, gates = context.spec.training, context.spec.gates
    settings, seed = context.spec.monitoring.performance, seed_from(watched.scored.content_sha256)
    labelled = _labelled(context, watched, scored, as_of, folder)
    known = read_answered(labelled.path, training.task, has_truth=True)
    measured = measure_window(training.task, known, evaluation.metrics, settings, gates.bootstrap_samples, seed)
    earlier = [_known(context, one, as_of, folder / one.name) for one in before]
    sources = [*([] if promoted is None else [promoted.known]), *earlier]
    answered = read_answered(scored, training.task)
    if training.task == "regression":
        estimated = estimate_regression(answered, sources, evaluation.metrics, settings, seed=seed)
    else:
        estimated = estimate_window(training.task, answered, sources, evaluation.metrics, settings, seed)
    return Performed(
        labelled.counts.num_labelled, measured, estimated, tuple(odd_labels(labelled.counts, known.num_unknown))
    )


def _labelled(context: Context[ClassicSpec], watched: Watched, scored: Path, as_of: datetime, folder: Path) -> Labelled:
    """Return the labelled rows of a window, and what became of all its labels: the values of the target."""
    target = context.spec.training.target

    def labels_in(content: Path, _: Path) -> Path | None:
        return content if target in pq.read_schema(content).names else None

    return join_window(context, watched, scored, as_of, folder, target, labels_in)


def _known(context: Context[ClassicSpec], watched: Watched, as_of: datetime, folder: Path) -> Known:
    folder.mkdir()
    with fetch_verified(context.store, watched.scored.key, watched.scored.content_sha256) as scored:
        labelled = _labelled(context, watched, scored, as_of, folder)
    return known_from(read_answered(labelled.path, context.spec.training.task, has_truth=True))
