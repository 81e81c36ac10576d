"""Each row's predictions, kept where they can be found again."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.classic.evaluation.predictions import predictions_table
from pipelines.data.predictions import write_predictions
from pipelines.records import sha256_of
from pipelines.store.memory import MemoryStore

HOLDOUT = pa.table({"id": [7, 8], "truth": ["no", "yes"], "challenger": [1, 2]})
PROBABILITIES = np.array([[0.75, 0.25], [0.5, 0.5]])


def test_no_column_of_the_data_can_take_the_place_of_a_prediction() -> None:
    table = predictions_table(HOLDOUT, ["id", "challenger"], "truth", {"challenger": PROBABILITIES}, ["no", "yes"])
    assert table.to_pydict() == {
        "key.id": [7, 8],
        "key.challenger": [1, 2],
        "truth": ["no", "yes"],
        "challenger.no": [0.75, 0.5],
        "challenger.yes": [0.25, 0.5],
    }


def test_rows_without_a_key_are_numbered_and_values_have_one_column_a_model() -> None:
    both = {"challenger": np.array([1.0, 2.0]), "champion": np.array([3.0, 4.0])}
    table = predictions_table(HOLDOUT, [], "id", both, [])
    assert table.to_pydict() == {
        "key.row": [0, 1], "truth": [7, 8], "challenger": [1.0, 2.0], "champion": [3.0, 4.0]
    }  # fmt: skip


def test_predictions_are_stored_once_under_their_hash() -> None:
    store = MemoryStore()
    table = predictions_table(HOLDOUT, ["id"], "truth", {"challenger": PROBABILITIES}, ["no", "yes"])
    key, sha256 = write_predictions(store, "toy", table)
    assert key == f"toy/predictions/{sha256}.parquet"
    assert sha256_of(store.read(key)) == sha256
    assert pq.read_table(io.BytesIO(store.read(key))).equals(table)
    assert write_predictions(store, "toy", table) == (key, sha256)
    assert len(list(store.list())) == 1


def test_a_torn_object_of_an_earlier_attempt_is_written_whole() -> None:
    store = MemoryStore()
    table = predictions_table(HOLDOUT, ["id"], "truth", {"challenger": PROBABILITIES}, ["no", "yes"])
    key, sha256 = write_predictions(store, "toy", table)
    store.write(key, b"half")
    write_predictions(store, "toy", table)
    assert sha256_of(store.read(key)) == sha256


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64()])
def test_labels_name_the_columns_as_they_are(kind: pa.DataType) -> None:
    holdout = pa.table({"y": pa.array([0, 1]).cast(kind)})
    labels = sorted(holdout["y"].to_pylist())
    table = predictions_table(holdout, [], "y", {"challenger": PROBABILITIES}, labels)
    assert table.column_names[2:] == [f"challenger.{label}" for label in labels]
