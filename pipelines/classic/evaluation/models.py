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
from pipelines.data.fairness import champion_saw_holdout
from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.errors import DataError
from pipelines.records import Candidate, LedgerEntry
from pipelines.registry.champion import champion_against, whole_champion
from pipelines.spec.training import Training
from pipelines.store import Store
from pipelines.store.verified import fetch_verified


@dataclass(frozen=True)
class Champion:
    """What serves now: its ledger entry, its model, and how it came to know the holdout, if it does."""

    entry: LedgerEntry
    estimator: Any
    saw_holdout: str | None


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


def load_champion(store: Store, ours: Candidate, snapshot: Manifest) -> Champion | None:
    """Return the champion that a candidate has to beat, by the ledger; None where there was none.

    Args:
        store: Where ledger, candidate records, models and snapshots are.
        ours: The candidate.
        snapshot: What both are to be judged on.

    Raises:
        IntegrityError: If the ledger, or the champion's record, model or snapshot, is gone or not what was written.
    """
    found = champion_against(store, ours)
    if found is None:
        return None
    entry, candidate = found
    with whole_champion(entry):
        estimator = load_candidate(store, candidate)
        theirs = read_manifest(store, ours.model, candidate.snapshot_id)
        return Champion(entry, estimator, champion_saw_holdout(store, snapshot, theirs))


def answer(training: Training, holdout: pa.Table, challenger: Any, champion: Champion | None) -> Answers:
    """Let both models predict every row of the holdout.

    Raises:
        DataError: If a model cannot read the rows, or the labels do not go together.
    """
    models = [challenger] if champion is None else [challenger, champion.estimator]
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
