from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import Model
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline

from pipelines.classic.estimators.persistence import load_model, save_model
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.errors import RegistryError
from pipelines.registry.package import Features, write_model_folder

Y = np.array([0, 1, 0, 1, 1, 0])
COLUMNS: dict[str, tuple[pa.Array, str]] = {
    "int64": (pa.array([1, 2, 3, 4, 5, 6]), "DataType.long"),
    "int8": (pa.array([1, 2, 3, 4, 5, 6], pa.int8()), "DataType.long"),
    "uint32": (pa.array([1, 2, 3, 4, 5, 6], pa.uint32()), "DataType.long"),
    "uint64": (pa.array([1, 2, 3, 4, 5, 6], pa.uint64()), "DataType.double"),
    "int_missing": (pa.array([1, None, 3, 4, 5, 6]), "DataType.double"),
    "int_missing_elsewhere": (pa.array([1, 2, 3, 4, 5, 6]), "DataType.double"),
    "float32": (pa.array([1.5, None, 3, 4, 5, 6], pa.float32()), "DataType.double"),
    "float64": (pa.array([1.5, float("nan"), 3, 4, 5, 6]), "DataType.double"),
    "decimal": (pa.array([Decimal("1.5")] * 6, pa.decimal128(9, 2)), "DataType.double"),
    "bool": (pa.array([True, False, True, True, False, True]), "DataType.boolean"),
    "bool_missing": (pa.array([True, None, True, True, False, True]), "any"),
    "text": (pa.array(["a", None, "b", "a", "b", "a"]), "DataType.string"),
    "large_text": (pa.array(["a", None, "b", "a", "b", "a"], pa.large_string()), "DataType.string"),
    "levels": (pa.array(["a", None, "b", "a", "b", "a"]).dictionary_encode(), "DataType.string"),
    "date": (pa.array([date(2013, 1, day) for day in range(1, 7)]), "DataType.datetime"),
    "timestamp": (pa.array([datetime(2013, 1, day) for day in range(1, 7)]), "DataType.datetime"),
    "nothing": (pa.nulls(6), "any"),
}


def _save(table: pa.Table, folder: Path, task: str = "binary") -> None:
    settings: dict[str, Any] = {"max_iter": 2, "min_samples_leaf": 1}
    kind = HistGradientBoostingClassifier if task == "binary" else HistGradientBoostingRegressor
    save_model(make_pipeline(TableReader(table.column_names), kind(**settings)).fit(table, Y), folder / "model.skops")


def _features(table: pa.Table) -> Features:
    missing = {name for name in table.column_names if table[name].null_count} | {"int_missing_elsewhere"}
    return Features(table, frozenset(missing))


def _write(folder: Path, features: Features, probabilities: bool = True, load: Any = load_model) -> Path:
    description = Model(run_id="run", model_id="m-1")
    papers = {"card.md": b"# m"}
    write_model_folder(folder / "model", folder / "model.skops", load, features, probabilities, papers, description)
    return folder / "model"


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_is_declared_packed_and_answered(tmp_path: Path, name: str) -> None:
    column, declared = COLUMNS[name]
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], name: column})
    _save(table, tmp_path)
    packed = Model.load(_write(tmp_path, _features(table)))
    found = packed.signature.inputs.input_dict()[name].type
    assert str(found) == declared or (declared == "any" and "Any" in repr(found))
    assert packed.saved_input_example_info is not None


@pytest.mark.parametrize(
    "column",
    [
        pa.array([time(hour) for hour in range(6)]),
        pa.array([timedelta(hours=1)] * 6),
        pytest.param(
            pa.array([datetime(2013, 1, day) for day in range(1, 7)], pa.timestamp("us", "Europe/Paris")),
            marks=pytest.mark.filterwarnings(
                "ignore:Series.values returning an ndarray that drops"
            ),  # MLflow's own use
        ),
    ],
)
def test_what_json_has_not_is_packed_without_an_example(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "odd": column})
    _save(table, tmp_path)
    packed = Model.load(_write(tmp_path, _features(table)))
    assert packed.saved_input_example_info is None


def test_a_regressor_answers_one_value_a_row(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    _save(table, tmp_path, task="regression")
    folder = _write(tmp_path, _features(table), probabilities=False)
    assert Model.load(folder).signature.outputs.to_dict()[0]["tensor-spec"]["shape"] == (-1,)
    assert mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame({"x": [1.0, 2.0]})).shape == (2,)


def test_a_batch_with_missing_integers_is_answered(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "n": pa.array([1, 2, None, 4, 5, 6])})
    _save(table, tmp_path)
    folder = _write(tmp_path, _features(table))
    batch = pd.DataFrame({"x": [1.0, 2.0], "n": [np.nan, np.nan]})
    assert mlflow.pyfunc.load_model(str(folder)).predict(batch).shape == (2, 2)


def test_a_folder_that_answers_otherwise_than_the_judged_model_is_refused(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    _save(table, tmp_path)

    def load_another(path: Path) -> Pipeline:
        model = load_model(path)
        model.steps[-1][1]._baseline_prediction += 1
        return model

    with pytest.raises(RegistryError, match="answers otherwise than the one that was judged"):
        _write(tmp_path, _features(table), load=load_another)


def test_the_description_tells_the_size_of_the_judged_file(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    _save(table, tmp_path)
    folder = _write(tmp_path, _features(table))
    assert (folder / "model.skops").read_bytes() == (tmp_path / "model.skops").read_bytes()
    told = Model.load(folder).model_size_bytes
    assert told >= (tmp_path / "model.skops").stat().st_size


def test_papers_lie_beside_the_model(tmp_path: Path) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    _save(table, tmp_path)
    folder = _write(tmp_path, _features(table))
    assert (folder / "tandem" / "card.md").read_text() == "# m"
