"""Load the candidate and the champion by verified hash, and let both answer the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.classic.estimators.persistence import load_model
from pipelines.classic.estimators.prediction import predict
from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.metrics import align_classes, encode_truth, union_of_classes
from pipelines.errors import DataError
from pipelines.records import Candidate
from pipelines.registry.champion import Champion
from pipelines.spec.training import Training
from pipelines.store import Store
from pipelines.store.verified import fetch_verified


@dataclass(frozen=True)
class Answers:
    """What each model answers on the same rows, in the shapes that metrics want.

    `truth`: class codes or values, shape (n,). `classes`: all labels in the order of the codes, empty for regression.
    """

    truth: Array
    challenger: Array
    champion: Array | None
    classes: Sequence[Any]


def load_candidate(store: Store, candidate: Candidate) -> Any:
    """Return a candidate's fitted estimator. Raises `ObjectMissing`, `IntegrityError`."""
    with fetch_verified(store, candidate.model_key, candidate.model_sha256) as path:
        return load_model(path)


def answer(training: Training, holdout: pa.Table, challenger: Any, champion: Champion[Any] | None) -> Answers:
    """Let both models predict every row of the holdout.

    Raises:
        DataError: If a model cannot read the rows, or the labels do not go together.
    """
    models = [challenger] if champion is None else [challenger, champion.model]
    target = holdout.column(training.target).to_pylist()
    own = [[] if training.task == "regression" else _labels(model) for model in models]
    classes = union_of_classes(training.task, *own, target)
    predictions = []
    for model, labels in zip(models, own, strict=True):
        try:
            predicted = predict(model, holdout, training)
        except DataError as error:
            if champion is None or model is challenger:
                raise
            raise DataError(
                f"Champion version {champion.entry.version} cannot predict this holdout, so the candidate was not "
                f"judged: {error}"
            ) from error
        predictions.append(align_classes(predicted, labels, classes) if classes else predicted)
    truth = encode_truth(training.task, target, classes)
    return Answers(truth, predictions[0], predictions[1] if champion is not None else None, classes)


def _labels(model: Any) -> list[Any]:
    labels: list[Any] = model.classes_.tolist()
    return labels
