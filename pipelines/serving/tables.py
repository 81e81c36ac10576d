"""Answers of a scikit-learn model to the rows of a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.classic.estimators.persistence import load_model
from pipelines.classic.estimators.prediction import predict
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.classic.search.threads import openmp_threads
from pipelines.errors import IntegrityError
from pipelines.records import Candidate
from pipelines.spec.training import Training
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

PREDICTION = "prediction"
PART_ROWS = 32_768


class TableAnswerer:
    """A fitted pipeline, with the features that it learnt from, whatever the spec lists by now."""

    def __init__(self, estimator: Any, training: Training) -> None:
        self._estimator = estimator
        self._pool = ThreadPoolExecutor(os.cpu_count(), "predicts")
        self._training = training.model_copy(update={"features": tuple(_features(estimator))})
        self._names = (
            [PREDICTION]
            if training.task == "regression"
            else [f"{PREDICTION}.{label}" for label in estimator.classes_.tolist()]
        )

    @classmethod
    def load(cls, store: Store, candidate: Candidate, training: Training) -> TableAnswerer:
        """Return a candidate's model. Raises `ObjectMissing`, `IntegrityError`."""
        with fetch_verified(store, candidate.model_key, candidate.model_sha256) as path:
            return cls(load_model(path), training)

    @property
    def columns(self) -> Sequence[str]:
        """The features."""
        return self._training.features

    @property
    def schema(self) -> pa.Schema:
        """`prediction.<label>` for each class, probabilities, or `prediction` in the target's unit."""
        return pa.schema([(name, pa.float64()) for name in self._names])

    def answer(self, rows: pa.Table) -> pa.Table:
        """Return one prediction a row. Raises `DataError` if a feature is absent or of another type.

        Parts of the rows are read and predicted side by side, a thread each: reading them would not use a second core.
        The parts are as long on any machine, since a product of matrices may hang on that to the last bit.
        """
        parts = [rows.slice(start, PART_ROWS) for start in range(0, rows.num_rows, PART_ROWS)] or [rows]
        columns = np.concatenate(list(self._pool.map(self._predict, parts)))
        return pa.table([np.ascontiguousarray(columns[:, place]) for place in range(len(self._names))], self.schema)

    def _predict(self, rows: pa.Table) -> NDArray[np.float64]:
        with openmp_threads(1):
            predicted = np.asarray(predict(self._estimator, rows, self._training), np.float64)
        return predicted.reshape(rows.num_rows, len(self._names))


def _features(estimator: Any) -> list[str]:
    reader = estimator.steps[0][1]
    if not isinstance(reader, TableReader) or reader.features is None:
        raise IntegrityError(f"The model begins with a {type(reader).__name__}, not with the reader of its features.")
    return list(reader.features)
