"""What was answered and what was true, read from Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipelines.monitoring.answers as answers
from pipelines.errors import DataError
from pipelines.monitoring.answers import Answered, read_answered


def _read(folder: Path, task: Any, columns: dict[str, Any], **more: Any) -> Answered:
    path = folder / "scored.parquet"
    pq.write_table(pa.table(columns), path)
    return read_answered(path, task, **more)


def test_probabilities_and_truth_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    columns = {"prediction.b": [0.25, 1.0], "prediction.a": [0.75, 0.0], "truth": ["a", "b"], "row": [0, 1]}
    found = _read(tmp_path, "binary", columns, has_truth=True)
    assert found.classes == ("b", "a")
    assert found.predicted.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert found.truth is not None
    assert found.truth.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("classes", "truth"),
    [
        (["False", "True"], pa.array([True, False])),
        (["False", "True"], pa.array([1, 0], pa.int8())),
        (["False", "True"], pa.array([1.0, 0.0])),
        (["False", "True"], pa.array(["true", "false"])),
        (["false", "true"], pa.array([True, False])),
        (["0", "1"], pa.array([True, False])),
        (["0", "1"], pa.array([1.0, 0.0])),
        (["0.0", "1.0"], pa.array([1, 0])),
        (["0", "1"], pa.array(["1", "0"]).dictionary_encode()),
    ],
)
def test_a_label_is_known_in_whatever_type_it_came(tmp_path: Path, classes: list[str], truth: pa.Array) -> None:
    columns = {**{f"prediction.{name}": [0.5, 0.5] for name in classes}, "truth": truth}
    found = _read(tmp_path, "binary", columns, has_truth=True)
    assert found.truth is not None
    assert found.truth.tolist() == [1, 0]
    assert found.num_unknown == 0


def test_a_third_class_of_a_binary_task_is_counted_and_left_out(tmp_path: Path) -> None:
    columns = {"prediction.a": [0.5] * 3, "prediction.b": [0.5] * 3, "truth": ["a", "c", "b"]}
    found = _read(tmp_path, "binary", columns, has_truth=True)
    assert found.num_unknown == 1
    assert found.truth is not None
    assert found.truth.tolist() == [0, 1]
    assert len(found.predicted) == 2


def test_a_new_class_of_many_has_probability_0(tmp_path: Path) -> None:
    columns = {"prediction.a": [0.5] * 3, "prediction.b": [0.5] * 3, "truth": ["a", "c", "b"]}
    found = _read(tmp_path, "multiclass", columns, has_truth=True)
    assert found.classes == ("a", "b", "c")
    assert found.predicted.tolist() == [[0.5, 0.5, 0.0]] * 3
    assert found.truth is not None
    assert found.truth.tolist() == [0, 2, 1]


def test_rows_without_a_finite_answer_are_counted_and_left_out(tmp_path: Path) -> None:
    columns = {"prediction": [1.0, float("nan"), None, float("inf"), 5.0], "truth": [1, 2, 3, 4, 6]}
    found = _read(tmp_path, "regression", columns, has_truth=True)
    assert found.predicted.tolist() == [1.0, 5.0]
    assert found.truth is not None
    assert found.truth.tolist() == [1.0, 6.0]
    assert (found.num_rows, found.num_not_finite) == (5, 3)


def test_rows_without_truth_are_left_out_where_truth_is_asked_for(tmp_path: Path) -> None:
    columns = {"prediction": [1.0, 2.0], "truth": pa.array([None, 2.5])}
    assert _read(tmp_path, "regression", columns, has_truth=True).predicted.tolist() == [2.0]
    assert _read(tmp_path, "regression", columns).predicted.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_no_rows_are_no_rows(tmp_path: Path, task: str) -> None:
    empty = pa.array([], pa.float64())
    columns = {"prediction": empty, "prediction.a": empty, "prediction.b": empty, "truth": pa.array([], pa.string())}
    if task == "regression":
        columns["truth"] = empty
    found = _read(tmp_path, task, columns, has_truth=True)
    assert found.truth is not None
    assert len(found.predicted) == len(found.truth) == 0


def test_truths_that_are_all_null_leave_nothing(tmp_path: Path) -> None:
    columns = {"prediction.a": [0.5], "prediction.b": [0.5], "truth": pa.array([None], pa.bool_())}
    assert len(_read(tmp_path, "binary", columns, has_truth=True).predicted) == 0


def test_the_predictions_of_an_evaluation_are_read_by_their_models_name(tmp_path: Path) -> None:
    columns = {"challenger.a": [0.1], "challenger.b": [0.9], "champion.a": [0.5], "champion.b": [0.5]}
    assert _read(tmp_path, "binary", columns, prefix="challenger").predicted.tolist() == [[0.1, 0.9]]


def test_of_very_many_rows_a_sample_is_read_and_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 1000)
    columns = {"prediction": np.arange(20_000.0)}
    first, second = _read(tmp_path, "regression", columns), _read(tmp_path, "regression", columns)
    assert 900 < len(first.predicted) < 1100
    assert first.num_rows == 20_000
    assert np.array_equal(first.predicted, second.predicted)
    assert first.predicted.mean() == pytest.approx(10_000, rel=0.1)


def test_a_file_without_answers_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"binary task are not in the file: it has \['prediction'\]"):
        _read(tmp_path, "binary", {"prediction": [1.0]})
    with pytest.raises(DataError, match="not 'prediction'"):
        _read(tmp_path, "regression", {"x": [1.0]})
