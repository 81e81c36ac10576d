"""The first step of every model's pipeline: a table in, a matrix of float64 out.

Numbers stay, booleans are 0 and 1, dates become parts, text becomes codes ordered by frequency, and what is missing or
infinite is NaN. What tells nothing (constant, all null, text that never repeats) is left out. The steps after this one
(`pipelines.classic.estimators.encoding`) turn codes and NaN into what each kind of estimator wants.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from pipelines.classic.estimators.columns import Kind, as_codes, as_dates, as_numbers, kind_of, learn_levels
from pipelines.errors import DataError

_TYPE_WITHOUT_VALUES = {"category": pa.string(), "date": pa.timestamp("us"), "timestamp": pa.timestamp("us")}


class TableReader(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Read the features of a table into a matrix; what it learns is plain lists, so that it can be saved as they are.

    Args:
        features: Names of the columns that are read; any others are ignored.

    Attributes:
        kinds_: Kind of each feature, in the order of `features`.
        vocabulary_: Levels of each category column, by name; a level's place is its code.
        columns_: Names of the matrix's columns, such as `departure.hour`.
        levels_: Levels of each column of the matrix; 0 for numbers. A column of L levels holds codes 0..L.
        left_out_: Features, or parts of them, that tell nothing.
    """

    def __init__(self, features: list[str] | None = None) -> None:
        self.features = features

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Learn kinds and levels from a table. Raises `DataError` when a feature is absent or no feature is usable."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> NDArray[np.float64]:  # noqa: N803
        """Learn from a table and return its matrix, shape (n, columns)."""
        table = to_table(X)
        names = self._require(table, "Nothing was trained.")
        self.kinds_: list[Kind] = [kind_of(name, table.schema.field(name).type) for name in names]
        self.vocabulary_ = {
            name: learn_levels(table[name]) for name, kind in zip(names, self.kinds_, strict=True) if kind == "category"
        }
        read = self._read(table)
        useful = {name: values for name, values in read.items() if _varies(values)}
        if not useful:
            raise DataError(
                f"None of the {len(names)} features varies over the {table.num_rows} training rows "
                f"({', '.join(names[:5])}): nothing can be learnt from them. Nothing was trained."
            )
        self.columns_ = list(useful)
        self.levels_ = [len(self.vocabulary_.get(name, ())) for name in useful]
        self.left_out_ = [name for name in read if name not in useful]
        return np.column_stack(list(useful.values()))

    def transform(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the matrix of a table, shape (n, columns); a level never seen gets the code after the last.

        Raises:
            DataError: If a feature is absent, or has a type that cannot be read as what it was in training.
        """
        table = to_table(X)
        self._require(table, "Nothing was predicted.")
        read = self._read(table)
        return np.column_stack([read[name] for name in self.columns_])

    def _require(self, table: pa.Table, outcome: str) -> list[str]:
        names = list(self.features if self.features is not None else table.column_names)
        missing = [name for name in names if name not in table.column_names]
        doubled = [name for name in names if table.column_names.count(name) > 1]
        if missing or doubled:
            what = "lacks the features" if missing else "has more than one column for the features"
            raise DataError(
                f"The table {what} {', '.join(repr(name) for name in missing or doubled)}; "
                f"its columns are {', '.join(table.column_names[:30])}. {outcome}"
            )
        return names

    def _read(self, table: pa.Table) -> dict[str, NDArray[np.float64]]:
        read: dict[str, NDArray[np.float64]] = {}
        names = self.features if self.features is not None else table.column_names
        for name, kind in zip(names, self.kinds_, strict=True):
            column = table[name]
            if pa.types.is_null(column.type) or kind == "unusable":
                column = pa.chunked_array([pa.nulls(table.num_rows, _TYPE_WITHOUT_VALUES.get(kind, pa.float64()))])
            if kind == "category":
                read[name] = as_codes(column, self.vocabulary_[name])
            elif kind in {"date", "timestamp"}:
                parts = as_dates(name, kind, column)
                read |= {f"{name}.{part}": values for part, values in parts.items()}
            else:
                read[name] = as_numbers(name, kind, column)
        return read


def to_table(data: Any) -> pa.Table:
    """Return an Arrow table of a table, record batch, pandas frame or dict of columns."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, pd.DataFrame):
        try:
            return pa.Table.from_pandas(data, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"A column of the frame mixes types: {error}. Nothing was read.") from error
    if isinstance(data, dict):
        return pa.table(data)
    raise DataError(
        f"Features came as {type(data).__name__}; allowed are an Arrow table, a pandas frame or a dict of columns. "
        "Nothing was read."
    )


def _varies(values: NDArray[np.float64]) -> bool:
    """Tell whether any two rows differ, where missing is a value too."""
    first = values[0]
    return (
        bool(np.isnan(values).any() and not np.isnan(values).all())
        if np.isnan(first)
        else bool((values != first).any())
    )
