from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.classic.estimators.target_values import read_target
from pipelines.errors import DataError
from pipelines.spec.training import Training


def target(task: str, values: Any) -> tuple[np.ndarray, list[Any]]:
    training = Training(task=task, target="y", features=("x",), budget={"trials": 1})
    return read_target(pa.table({"y": values}), training)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["late", "early", "late"], ["early", "late"]),
        ([True, False, True], [False, True]),
        ([2, 1, 2], [1, 2]),
        ([1.0, 0.0, 1.0], [0.0, 1.0]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_classes_are_sorted_and_rows_hold_their_codes(values: Any, classes: list[Any]) -> None:
    codes, found = target("binary", values)
    assert found == classes
    assert codes.tolist() == [1, 0, 1]


def test_regression_takes_any_number() -> None:
    values, classes = target("regression", [1, 2, 5])
    assert values.dtype == np.float64
    assert classes == []


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("binary", [True, None, False], r"missing in 1 of 3 training rows; allowed: 0"),
        ("regression", [1.0, float("nan"), None], r"missing in 2 of 3"),
        ("binary", ["a", "a"], r"is 'a' in all 2 training rows; at least 2 classes"),
        ("binary", ["a", "b", "c"], r"has 3 classes .* takes at most 2"),
        ("multiclass", list(range(600)), r"has 600 classes .* takes at most 500"),
        ("regression", ["a", "b"], r"type string; regression needs numbers"),
        ("regression", [1.0, float("inf")], r"infinite in 1 of 2"),
        ("regression", [3.0, 3.0], r"is 3 in all 2 training rows"),
        ("regression", pa.array([], pa.float64()), r"There are 0 training rows"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused_with_its_count(task: str, values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        target(task, values)


def test_a_target_that_is_absent_is_named() -> None:
    training = Training(task="binary", target="y", features=("x",), budget={"trials": 1})
    with pytest.raises(DataError, match="Target 'y' is not among the columns x"):
        read_target(pa.table({"x": [1]}), training)
