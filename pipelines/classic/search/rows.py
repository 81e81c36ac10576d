"""The rows of a search, read once: matrix, target, times and folds, and the files through which fits in other processes
see them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.classic.estimators.target_values import read_target
from pipelines.classic.search.configuration import Shape
from pipelines.classic.search.folds import Folds, shuffled_folds, time_folds
from pipelines.errors import DataError
from pipelines.spec.training import Training

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """All training rows as numbers. `times` is None unless folds go along time."""

    reader: TableReader
    X: Array
    y: Array
    classes: list[Any]
    times: Array | None

    @property
    def shape(self) -> Shape:
        """What decides how estimators are built."""
        return Shape(levels=tuple(self.reader.levels_), num_classes=len(self.classes), num_rows=len(self.y))


@dataclass(frozen=True)
class SearchRows:
    """The rows that the search fits on: all of them, or a sample of very many. `places` are theirs among all rows."""

    X: Array
    y: Array
    folds: Folds
    places: Array
    shape: Shape


def read_rows(table: pa.Table, training: Training, time_column: str | None) -> Rows:
    """Return the training rows of a table.

    Raises:
        DataError: If target, features or times cannot be learnt from; says which and how many.
    """
    y, classes = read_target(table, training)
    reader = TableReader(list(training.features))
    X = reader.fit_transform(table)  # noqa: N806 (scikit-learn's name)
    times = _times(table, time_column) if training.folds == "time" else None
    return Rows(reader, X, y, classes, times)


def search_rows(rows: Rows, most: int, seed: int) -> SearchRows:
    """Return the rows to search on, at most `most`, drawn by the seed, and their folds."""
    count = len(rows.y)
    places = np.arange(count)
    if count > most:
        places = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    y = rows.y[places]
    folds = shuffled_folds(y, len(rows.classes), seed) if rows.times is None else time_folds(rows.times[places])
    shape = rows.shape.model_copy(update={"num_rows": len(places)})
    return SearchRows(rows.X[places], y, folds, places, shape)


def write_rows(rows: SearchRows, folder: Path) -> None:
    """Write the rows where `load_rows` finds them."""
    for name, values in (("X", rows.X), ("y", rows.y), ("fold_of", rows.folds.fold_of), ("places", rows.places)):
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    (folder / "shape.json").write_bytes(rows.shape.to_bytes())
    (folder / "by_time").write_text(str(int(rows.folds.by_time)))


def load_rows(folder: Path) -> SearchRows:
    """Return the rows that `write_rows` wrote, mapped into memory that all processes share."""
    X, y, fold_of, places = (  # noqa: N806 (scikit-learn's name)
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y", "fold_of", "places")
    )
    folds = Folds(np.asarray(fold_of), int(fold_of.max()) + 1, (folder / "by_time").read_text() == "1")
    return SearchRows(X, np.asarray(y), folds, places, Shape.model_validate_json((folder / "shape.json").read_bytes()))


def _times(table: pa.Table, time_column: str | None) -> Array:
    if time_column is None or time_column not in table.column_names:
        raise DataError(
            f"Folds along time need the time column {time_column!r}; the training rows have the columns "
            f"{', '.join(table.column_names[:30])}. Nothing was trained."
        )
    column = table[time_column]
    if column.null_count:
        raise DataError(
            f"Time column {time_column!r} is null in {column.null_count} of {table.num_rows} training rows; folds "
            "along time need all. Nothing was trained."
        )
    return np.asarray(column.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(), dtype=np.int64)
