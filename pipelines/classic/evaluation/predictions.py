"""Keep what each model answered for each row, so that any figure can be computed again and any row looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.classic.evaluation.arrays import Array

CHALLENGER = "challenger"
"""What a candidate is called in its evaluation, also when it has become champion since."""


def predictions_table(
    holdout: pa.Table,
    key_columns: Sequence[str],
    target: str,
    predictions: Mapping[str, Array],
    classes: Sequence[Any],
) -> pa.Table:
    """Return one row a holdout row, in the holdout's order.

    Args:
        holdout: The held-out rows.
        key_columns: Columns that tell rows apart; the row's number stands in where there are none.
        target: The column to be predicted.
        predictions: Probabilities (n, K) or values (n,) by model.
        classes: Labels in the order of the columns of probabilities; empty for regression.

    Returns:
        Columns `key.<column>`, `truth`, and `<model>.<label>` for each class or `<model>` for a value.
    """
    columns: dict[str, Any] = {f"key.{name}": holdout.column(name) for name in key_columns}
    if not columns:
        columns["key.row"] = pa.array(np.arange(holdout.num_rows))
    columns["truth"] = holdout.column(target)
    for model, predicted in predictions.items():
        if predicted.ndim == 1:
            columns[model] = pa.array(predicted)
            continue
        for place, label in enumerate(classes):
            columns[f"{model}.{label}"] = pa.array(np.ascontiguousarray(predicted[:, place]))
    return pa.table(columns)
