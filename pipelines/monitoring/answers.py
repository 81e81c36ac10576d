"""Read what a champion answered, and what turned out true, as the arrays that metrics want."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.classic.evaluation.arrays import Array
from pipelines.data.parquet import ROW_GROUP_ROWS, open_parquet
from pipelines.errors import DataError
from pipelines.monitoring.labels import TRUTH
from pipelines.spec.training import Task

SERVED = "prediction"  # what the columns of a scored file begin with
MOST_ROWS = 1_000_000  # a figure on more rows is no truer in any digit that is shown
SEED = 0


@dataclass(frozen=True)
class Answered:
    """Rows that were answered in finite numbers.

    `predicted`: probabilities (n, K) or values (n,). `truth`: class codes or values, shape (n,), or None where no
    truth was asked for. `classes`: the K labels as text. `num_rows` are all rows of the file; `num_not_finite` of those
    that were read have an answer that is no number, and `num_unknown` a label that the model of a binary task has no
    answer for: neither are in the arrays.
    """

    predicted: Array
    truth: Array | None
    classes: tuple[str, ...]
    num_rows: int
    num_not_finite: int
    num_unknown: int


def read_answered(path: Path, task: Task, prefix: str = SERVED, has_truth: bool = False) -> Answered:
    """Return the answers in a Parquet file, in the order of its rows; of more than `MOST_ROWS` a sample by chance.

    The same file gives the same sample.

    Args:
        path: Has `<prefix>.<label>` for each class, or `<prefix>` for a value; and `truth`.
        task: The model's task.
        prefix: `prediction` in a scored file; the model's name in the predictions on a holdout.
        has_truth: Whether to read the truth; rows where it is null are left out.

    Raises:
        DataError: If the columns are not there.
    """
    schema, num_rows = pq.read_schema(path), pq.read_metadata(path).num_rows
    columns = prediction_columns(schema, task, prefix)
    table = _sampled(path, [*columns, *([TRUTH] if has_truth else [])], num_rows)
    if has_truth:
        table = table.filter(pc.is_valid(table.column(TRUTH)))
    predicted = np.column_stack([_floats(table.column(name)) for name in columns])
    finite = np.isfinite(predicted).all(axis=1)
    classes = [] if task == "regression" else [name.removeprefix(f"{prefix}.") for name in columns]
    truth = _truth(table.column(TRUTH), task, classes) if has_truth else None
    if truth is not None and truth.dtype.kind == "i" and (more := int(truth.max(initial=-1)) + 1 - len(columns)) > 0:
        predicted = np.column_stack([predicted, np.zeros((len(predicted), more))])
    known = np.ones(len(predicted), bool) if truth is None else _is_known(truth)
    kept = finite & known
    return Answered(
        predicted=predicted[kept, 0] if task == "regression" else predicted[kept],
        truth=None if truth is None else truth[kept],
        classes=tuple(classes),
        num_rows=num_rows,
        num_not_finite=int((~finite).sum()),
        num_unknown=int((~known).sum()),
    )


def prediction_columns(schema: pa.Schema, task: Task, prefix: str = SERVED) -> list[str]:
    """Return the columns that hold the answers, in the file's order. Raises `DataError` when there are none."""
    if task == "regression":
        columns = [name for name in schema.names if name == prefix]
    else:
        columns = [name for name in schema.names if name.startswith(f"{prefix}.")]
    if len(columns) < (1 if task == "regression" else 2):
        wanted = f"{prefix!r}" if task == "regression" else f"two or more '{prefix}.<label>'"
        raise DataError(f"The answers to a {task} task are not in the file: it has {schema.names[:30]}, not {wanted}.")
    return columns


def _sampled(path: Path, columns: Sequence[str], num_rows: int) -> pa.Table:
    generator, share = np.random.default_rng(SEED), MOST_ROWS / max(num_rows, 1)
    with open_parquet(path) as file:
        fields = pa.schema([file.schema_arrow.field(name) for name in columns])
        batches = file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=list(columns))
        kept = [one if share >= 1 else one.filter(pa.array(generator.random(len(one)) < share)) for one in batches]
        return pa.Table.from_batches([one.select(list(columns)) for one in kept], fields)


def _floats(column: pa.ChunkedArray) -> Array:
    return np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(), dtype=np.float64)


def _truth(column: pa.ChunkedArray, task: Task, classes: list[str]) -> Array:
    """Return values, or codes in the order of `classes`, to which a new class is added where the task has many; -1 for
    a third class of a binary task."""
    if task == "regression":
        return _floats(column)
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = np.empty(len(encoded.dictionary), np.int64)
    for place, label in enumerate(encoded.dictionary.to_pylist()):
        text = next((text for text in _texts(label) if text in classes), None)
        if text is None and task == "multiclass":
            text = str(label)
            classes.append(text)
        codes[place] = -1 if text is None else classes.index(text)
    return np.asarray(codes[encoded.indices.to_numpy(zero_copy_only=False)], dtype=np.int64)


def _texts(label: Any) -> list[str]:
    """Return the texts that a label may have as a class: whether 1 came as 1, 1.0 or true is the file's chance."""
    texts = [str(label)]
    if isinstance(label, bool):
        texts += [str(label).lower(), str(int(label))]
    elif isinstance(label, (int, float)) and label == int(label):
        texts += [str(int(label)), str(float(label)), *([str(bool(label))] if label in (0, 1) else [])]
    elif isinstance(label, str) and label in ("true", "false"):
        texts.append(label.capitalize())
    return texts


def _is_known(truth: Array) -> Array:
    return np.asarray(truth >= 0) if truth.dtype.kind == "i" else np.isfinite(truth)
