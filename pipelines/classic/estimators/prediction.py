"""Answers of a saved model for rows of a table, with clear words when the rows do not fit it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from pipelines.errors import DataError
from pipelines.spec.training import Training


def predict(estimator: Pipeline, table: pa.Table, training: Training) -> NDArray[Any]:
    """Return probabilities (n, classes), columns in the order of `estimator.classes_`, or values (n,).

    A category that training never saw, an infinite number and a missing value are all answered, as the model learnt to
    treat them; columns beyond the features are ignored.

    Args:
        estimator: A loaded model.
        table: Rows with at least the features.
        training: The spec's section that the model was trained by.

    Raises:
        DataError: If a feature is absent, or has a type that cannot be read as what it was in training.
    """
    missing = [name for name in training.features if name not in table.column_names]
    if missing:
        raise DataError(
            f"The rows lack the features {', '.join(map(repr, missing))}; their columns are "
            f"{', '.join(table.column_names[:30])}. Nothing was predicted."
        )
    classify = training.task != "regression"
    if table.num_rows == 0:
        return np.empty((0, len(estimator.classes_)) if classify else (0,))
    return np.asarray(estimator.predict_proba(table) if classify else estimator.predict(table))
