"""Slices that leave no row out."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.slices import MOST_SMALL_SLICES, slice_columns, slices_of
from pipelines.errors import DataError
from pipelines.spec.gates import Gates


def test_each_value_of_each_column_is_a_slice_and_so_are_missing_ones() -> None:
    table = pa.table({"origin": ["JFK", "EWR", None, "JFK"], "weekend": [True, False, True, True]})
    found = {name: rows.tolist() for name, rows in slices_of(table, ["origin", "weekend"], 1).items()}
    assert found == {
        "all": [0, 1, 2, 3],
        "origin=(missing)": [2],
        "origin=EWR": [1],
        "origin=JFK": [0, 3],
        "weekend=false": [1],
        "weekend=true": [0, 2, 3],
    }


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (pa.array([1, 2]), ["c=1", "c=2"]),
        (pa.array([date(2013, 1, 1), date(2013, 1, 2)]), ["c=2013-01-01", "c=2013-01-02"]),
        (pa.array(["b", "a"]).dictionary_encode(), ["c=a", "c=b"]),
        (pa.array([None, None], pa.null()), ["c=(missing)"]),
    ],
)
def test_columns_of_many_types_have_slices(values: pa.Array, names: list[str]) -> None:
    assert list(slices_of(pa.table({"c": values}), ["c"], 1)) == ["all", *names]


def test_chunked_columns_are_sliced_like_whole_ones() -> None:
    chunked = pa.concat_tables([pa.table({"c": ["a", "b"]}), pa.table({"c": ["b", "a"]})])
    assert slices_of(chunked, ["c"], 1)["c=a"].tolist() == [0, 3]


def test_many_rare_values_are_pooled_and_no_row_is_lost() -> None:
    rare = [f"r{number:03d}" for number in range(100)]
    values = ["big"] * 50 + rare + rare[:30]
    slices = slices_of(pa.table({"c": values}), ["c"], minimum_rows=10)
    assert len(slices) == 1 + 1 + MOST_SMALL_SLICES + 1
    assert len(slices["c=big"]) == 50
    assert {len(rows) for name, rows in slices.items() if name.startswith("c=r")} == {2}  # the largest of the small
    parts = np.concatenate([rows for name, rows in slices.items() if name != "all"])
    assert sorted(parts.tolist()) == list(range(len(values)))


def test_columns_that_only_a_rule_speaks_of_are_sliced_too() -> None:
    gates = Gates.model_validate({
        "slices": ["origin"],
        "rules": [
            {"metric": "brier", "maximum": 0.2}, {"metric": "brier", "slice": "carrier", "maximum": 0.2},
            {"metric": "roc_auc", "slice": "origin", "minimum": 0.5},
        ],
    })  # fmt: skip
    assert slice_columns(gates) == ["origin", "carrier"]


def test_a_slice_column_that_is_missing_or_nested_is_named() -> None:
    table = pa.table({"a": [1], "nested": [[1]]})
    with pytest.raises(DataError, match="'origin' is not in the holdout"):
        slices_of(table, ["origin"], 1)
    with pytest.raises(DataError, match="'nested' is of type list"):
        slices_of(table, ["nested"], 1)
