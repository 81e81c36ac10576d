"""What a replay holds the serving versions against: an oracle trained anew for each window, and how each model did."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.measuring import measure_all
from pipelines.classic.evaluation.metrics import align_classes, encode_truth
from pipelines.classic.evaluation.models import answer, load_candidate
from pipelines.errors import DataError
from pipelines.gates.bootstrap import seed_from
from pipelines.records import Candidate, MetricValue, Partition, RunRequest, ScoredPartition, Window
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.run import run_step_in
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

SAMPLES = 200  # resamples behind each interval: enough for a picture
_ANSWER = "prediction."


def train_oracle(context: Context[ClassicSpec], window: Window, by: str) -> Candidate:
    """Train on all rows of a window, as a retraining would, and return the candidate: nobody judges or promotes it.

    Where a retraining of the same rows has run, its trials and its candidate are found in the store and used again.

    Raises:
        QualityFailed: If the data is refused.
        Fault: If something outside is broken; running again goes on from what is stored.
    """
    budget = context.spec.retraining.budget or context.spec.training.budget
    request = RunRequest(
        window=window, budget_seconds=budget.seconds, budget_trials=budget.trials, note="oracle of a replay", by=by
    ).to_dict()
    ingested = run_step_in(context, "ingest", request)
    snapshot = run_step_in(context, "snapshot", run_step_in(context, "validate", ingested))
    plan = run_step_in(context, "plan", snapshot, request)
    shares = [run_step_in(context, "search", plan, worker) for worker in range(plan["workers"])]
    return Candidate.from_dict(run_step_in(context, "train", plan, shares))


def measure_window(
    context: Context[ClassicSpec],
    rows: Partition,
    metric: str,
    models: Mapping[str, Candidate],
    served: ScoredPartition,
) -> dict[str, MetricValue]:
    """Return one metric on the labelled rows of a window: of each model by its name, and of what was `served`.

    Args:
        context: The model's surroundings.
        rows: The partition that was scored.
        metric: A metric of the task.
        models: Candidates that answer these rows now.
        served: What was answered then: its stored predictions are measured, and nothing is predicted again.

    Raises:
        DataError: If no row has a label, or the models cannot read the rows.
        IntegrityError: If the partition, a model or the predictions are not what was written.
    """
    training = context.spec.training
    with fetch_verified(context.store, rows.key, rows.content_sha256) as path:
        table = pq.read_table(path, memory_map=False)
    known = pc.is_valid(table.column(training.target))
    labelled = table.filter(known).combine_chunks()
    if not labelled.num_rows:
        raise DataError(f"Window {rows.name} has {table.num_rows:,} rows and no label; nothing can be measured there.")
    found: dict[str, MetricValue] = {}
    classes: list[object] = []
    for name, candidate in models.items():
        answers = answer(training, labelled, load_candidate(context.store, candidate), None)
        classes = list(answers.classes)
        found[name] = _measure(context.spec, metric, answers.truth, answers.challenger, rows.content_sha256)
    stored = _stored_answers(context.store, served, np.asarray(known))
    labels = [name.removeprefix(_ANSWER) for name in stored.column_names]
    predicted = np.column_stack([stored.column(name).to_numpy() for name in stored.column_names])
    if training.task == "regression":
        truth, predicted = (
            encode_truth(training.task, labelled.column(training.target).to_pylist(), []),
            predicted[:, 0],
        )
    else:
        by_text = {str(label): label for label in classes}
        predicted = align_classes(predicted, [by_text[label] for label in labels], classes)
        truth = encode_truth(training.task, labelled.column(training.target).to_pylist(), classes)
    return found | {"served": _measure(context.spec, metric, truth, predicted, rows.content_sha256)}


def _measure(spec: ClassicSpec, metric: str, truth: Array, predicted: Array, sha256: str) -> MetricValue:
    every = {"all": np.arange(len(truth))}
    figures = measure_all(spec.training.task, truth, predicted, None, every, SAMPLES, seed_from(sha256))
    return next(value for value in figures.metrics if value.metric == metric)


def _stored_answers(store: Store, served: ScoredPartition, known: Array) -> pa.Table:
    """Return the stored predictions of the labelled rows, in the partition's order."""
    with fetch_verified(store, served.key, served.content_sha256) as path:
        table = pq.read_table(path, memory_map=False)
    names = [name for name in table.column_names if name == "prediction" or name.startswith(_ANSWER)]
    return table.select(names).filter(pa.array(known))
