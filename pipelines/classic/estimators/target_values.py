"""The target column as numbers: values for regression, codes of sorted classes for classification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.spec.training import Training

MOST_CLASSES = 500


def read_target(table: pa.Table, training: Training) -> tuple[NDArray[Any], list[Any]]:
    """Return the target, shape (n,), and the classes behind its codes; no classes for regression.

    Raises:
        DataError: If the column is absent, some rows have no target, or the values do not fit the task.
    """
    name, task = training.target, training.task
    if name not in table.column_names:
        raise DataError(
            f"Target {name!r} is not among the columns {', '.join(table.column_names[:30])}. Nothing was trained."
        )
    if table.num_rows == 0:
        raise DataError("There are 0 training rows. Nothing was trained.")
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    missing = column.null_count + int(_number_of_nan(column))
    if missing:
        raise DataError(
            f"Target {name!r} is missing in {missing} of {table.num_rows} training rows; allowed: 0. Nothing was "
            "trained: an expectation 'expect_column_values_to_not_be_null' on it sends such rows to quarantine."
        )
    return (_values(column, name), []) if task == "regression" else _codes(column, name, task)


def _number_of_nan(column: pa.ChunkedArray) -> int:
    return pc.sum(pc.is_nan(column)).as_py() or 0 if pa.types.is_floating(column.type) else 0


def _values(column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    types = pa.types
    if not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_decimal(column.type)):
        raise DataError(f"Target {name!r} has type {column.type}; regression needs numbers. Nothing was trained.")
    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    infinite = int((~np.isfinite(values)).sum())
    if infinite:
        raise DataError(
            f"Target {name!r} is infinite in {infinite} of {len(values)} training rows. Nothing was trained."
        )
    if values.min() == values.max():
        raise DataError(f"Target {name!r} is {values[0]:g} in all {len(values)} training rows. Nothing was trained.")
    return values


def _codes(column: pa.ChunkedArray, name: str, task: str) -> tuple[NDArray[np.int64], list[Any]]:
    classes = sorted(pc.unique(column).to_pylist())
    if len(classes) < 2:
        raise DataError(
            f"Target {name!r} is {classes[0]!r} in all {len(column)} training rows; at least 2 classes are needed. "
            "Nothing was trained."
        )
    most = 2 if task == "binary" else MOST_CLASSES
    if len(classes) > most:
        raise DataError(
            f"Target {name!r} has {len(classes)} classes ({', '.join(map(repr, classes[:5]))}, ...); a {task} task "
            f"takes at most {most}. Nothing was trained."
        )
    codes = pc.index_in(column, value_set=pa.array(classes, column.type))
    return np.asarray(codes.to_numpy(), dtype=np.int64), classes
