"""Cut the holdout by the values of columns, so that nobody is left out behind a good average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.spec.gates import Gates

Array = NDArray[Any]

OVERALL = "all"
MISSING = "(missing)"
REST = "(rest)"
MOST_SMALL_SLICES = 20


def slice_columns(gates: Gates) -> list[str]:
    """Return the columns whose values are measured apart: those of `slices`, and those that rules speak of."""
    return list(dict.fromkeys([*gates.slices, *(rule.slice for rule in gates.rules if rule.slice is not None)]))


def slices_of(table: pa.Table, columns: Sequence[str], minimum_rows: int) -> dict[str, Array]:
    """Return the row numbers of each slice by its name: `all`, then `column=value` for each value of each column.

    A column with thousands of rare values would make thousands of slices that nobody judges. So of the values with
    fewer than `minimum_rows` rows only the largest `MOST_SMALL_SLICES` stand alone; the others together are
    `column=(rest)`, a slice like any other.

    Args:
        table: The holdout's rows.
        columns: Columns to slice by, of any type that has a text; a missing value is a slice of its own.
        minimum_rows: What the gate calls small.

    Raises:
        DataError: If a column is not in the table, or its type has no text.
    """
    slices: dict[str, Array] = {OVERALL: np.arange(table.num_rows)}
    for column in columns:
        slices |= {f"{column}={value}": rows for value, rows in _rows_by_value(table, column, minimum_rows).items()}
    return slices


def _rows_by_value(table: pa.Table, column: str, minimum_rows: int) -> Mapping[str, Array]:
    values, codes = np.unique(_texts(table, column), return_inverse=True)
    by_code = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes, minlength=len(values)))[:-1])
    by_value = dict(zip(values.tolist(), by_code, strict=True))
    small = [value for value, rows in by_value.items() if len(rows) < minimum_rows]
    pooled = set(sorted(small, key=lambda value: -len(by_value[value]))[MOST_SMALL_SLICES:])
    alone = {value: rows for value, rows in by_value.items() if value not in pooled}
    if not pooled:
        return alone
    return {**alone, REST: np.sort(np.concatenate([by_value[value] for value in pooled]))}


def _texts(table: pa.Table, column: str) -> Array:
    if column not in table.column_names:
        raise DataError(
            f"Slice column {column!r} is not in the holdout: it has {table.column_names}. Nothing was evaluated."
        )
    values: Any = table.column(column).combine_chunks()
    try:
        texts = pc.cast(values, pa.string())
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"Slice column {column!r} is of type {values.type}, which has no text to name a slice by. "
            "Nothing was evaluated."
        ) from error
    return np.array([MISSING if text is None else text for text in texts.to_pylist()], dtype=object)
