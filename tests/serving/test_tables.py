from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.errors import DataError, IntegrityError
from pipelines.serving.tables import TableAnswerer
from pipelines.spec.training import Training


def _rows() -> pa.Table:
    x = np.linspace(-1, 1, 80)
    return pa.table({"x": x, "kind": ["a", "b"] * 40, "y": x > 0, "z": 2 * x})


def _answerer(task: str, target: str, features: list[str]) -> TableAnswerer:
    boosting = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = make_pipeline(TableReader(features), boosting(max_iter=5, min_samples_leaf=2))
    rows = _rows()
    model.fit(rows, rows[target].to_numpy(zero_copy_only=False))
    training = {"task": task, "target": target, "features": features, "budget": {"trials": 1}}
    return TableAnswerer(model, Training.model_validate(training))


def test_each_class_has_a_column_of_probabilities() -> None:
    answers = _answerer("binary", "y", ["x", "kind"]).answer(_rows())
    assert answers.column_names == ["prediction.False", "prediction.True"]
    total = np.asarray(answers["prediction.False"]) + np.asarray(answers["prediction.True"])
    assert total == pytest.approx(1)
    assert ((np.asarray(answers["prediction.True"]) > 0.5) == np.asarray(_rows()["y"])).all()


def test_a_value_is_one_column() -> None:
    answers = _answerer("regression", "z", ["x"]).answer(_rows())
    assert answers.schema == pa.schema([("prediction", pa.float64())])
    assert np.corrcoef(np.asarray(answers["prediction"]), np.asarray(_rows()["z"]))[0, 1] > 0.9


def test_no_rows_have_no_answers() -> None:
    for answerer in (_answerer("regression", "z", ["x"]), _answerer("multiclass", "kind", ["x"])):
        assert answerer.answer(_rows().slice(0, 0)).num_rows == 0


def test_it_reads_the_features_that_it_learnt_from_and_not_those_that_the_spec_lists_by_now() -> None:
    answerer = _answerer("binary", "y", ["x", "kind"])
    assert list(answerer.columns) == ["x", "kind"]
    later = TableAnswerer(answerer._estimator, answerer._training.model_copy(update={"features": ("x", "new")}))
    assert list(later.columns) == ["x", "kind"]
    assert later.answer(_rows()).equals(answerer.answer(_rows()))


def test_rows_of_another_type_are_refused() -> None:
    rows = _rows().set_column(0, "x", pa.array(["far"] * 80))
    with pytest.raises(DataError, match="x"):
        _answerer("binary", "y", ["x", "kind"]).answer(rows)


def test_a_model_that_does_not_begin_with_a_reader_is_refused() -> None:
    training = Training.model_validate({"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}})
    with pytest.raises(IntegrityError, match="StandardScaler"):
        TableAnswerer(make_pipeline(StandardScaler()), training)
