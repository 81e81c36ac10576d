"""Two models on the same rows, whatever classes and columns each of them knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline, make_pipeline

from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.classic.evaluation.importance import importance_of
from pipelines.classic.evaluation.metrics import METRICS, measure
from pipelines.classic.evaluation.models import answer
from pipelines.errors import DataError
from pipelines.records import LedgerEntry
from pipelines.registry.champion import Champion
from pipelines.spec.training import Training


def _training(task: str, features: tuple[str, ...] = ("x", "z")) -> Training:
    return Training.model_validate({"task": task, "target": "y", "features": features, "budget": {"trials": 1}})


def _table(labels: list[Any], seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    x = [places[label] + 0.1 * generator.normal() for label in labels]
    return pa.table({"x": x, "z": generator.random(len(labels)), "w": generator.random(len(labels)), "y": labels})


def _fitted(table: pa.Table, task: str, features: tuple[str, ...] = ("x", "z")) -> Pipeline:
    boosting = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = make_pipeline(TableReader(list(features)), boosting(max_iter=5, min_samples_leaf=5))
    return model.fit(table, table["y"].to_numpy(zero_copy_only=False))


def _champion(estimator: Any) -> Champion:
    entry = LedgerEntry(
        seq=1, previous_sha256=None, model="m", action="promote", version=7, candidate_key="c", candidate_sha256="c",
        model_sha256="m", verdict_key="v", verdict_sha256="v", reason="r", by="ada", at="2013-01-01T00:00:00+00:00",
    )  # fmt: skip
    return Champion(entry, estimator, None)


@pytest.mark.parametrize("labels", [[False, True], [0, 1], ["no", "yes"], [1.0, 2.0]])
def test_labels_of_any_kind_become_codes_and_the_second_is_the_positive(labels: list[Any]) -> None:
    table = _table(labels * 50)
    answers = answer(_training("binary"), table, _fitted(table, "binary"), None)
    assert answers.classes == labels
    assert answers.truth.tolist() == [0, 1] * 50
    assert answers.champion is None
    assert measure("binary", METRICS["roc_auc"], answers.truth, answers.challenger)[0] == 1.0


def test_models_that_know_other_classes_are_judged_on_the_same_columns() -> None:
    table = _table(["a", "b", "c"] * 40)
    champion = _fitted(_table(["a", "b"] * 40), "multiclass")
    answers = answer(_training("multiclass"), table, _fitted(table, "multiclass"), _champion(champion))
    assert answers.classes == ["a", "b", "c"]
    assert answers.challenger.shape == answers.champion.shape == (120, 3)
    assert (answers.champion[:, 2] == 0).all()
    ours, theirs = (
        measure("multiclass", METRICS["accuracy"], answers.truth, predicted)[0]
        for predicted in (answers.challenger, answers.champion)
    )
    assert ours > 0.95
    assert theirs < 0.7


def test_a_class_that_nobody_learnt_counts_as_wrong_and_is_no_crash() -> None:
    table = _table(["a", "b", "new"] * 40)
    answers = answer(_training("multiclass"), table, _fitted(_table(["a", "b"] * 40), "multiclass"), None)
    assert answers.classes == ["a", "b", "new"]
    assert np.isfinite(measure("multiclass", METRICS["log_loss"], answers.truth, answers.challenger)[0])


def test_a_third_class_in_a_binary_holdout_is_refused() -> None:
    with pytest.raises(DataError, match=r"allowed: 2"):
        answer(_training("binary"), _table([0, 1, 2] * 20), _fitted(_table([0, 1] * 20), "binary"), None)


def test_regression_has_values_and_no_classes() -> None:
    table = _table([1, 2, 3, 4] * 30)
    answers = answer(
        _training("regression"), table, _fitted(table, "regression"), _champion(_fitted(table, "regression"))
    )
    assert list(answers.classes) == []
    assert answers.challenger.shape == answers.champion.shape == answers.truth.shape == (120,)
    assert measure("regression", METRICS["r2"], answers.truth, answers.challenger)[0] > 0.5


def test_a_champion_with_features_of_its_own_reads_them() -> None:
    table = _table([0, 1] * 50)
    champion = _fitted(table, "binary", ("x", "w"))
    answers = answer(_training("binary"), table, _fitted(table, "binary"), _champion(champion))
    assert answers.champion == pytest.approx(champion.predict_proba(table))


def test_a_champion_that_lacks_a_feature_is_named_and_a_candidate_is_not_called_one() -> None:
    table = _table([0, 1] * 50)
    without = table.drop_columns(["w"])
    champion = _champion(_fitted(table, "binary", ("x", "w")))
    with pytest.raises(DataError, match=r"Champion version 7 cannot predict this holdout.*'w'"):
        answer(_training("binary"), without, _fitted(table, "binary"), champion)
    with pytest.raises(DataError) as caught:
        answer(_training("binary"), without, _fitted(table, "binary", ("x", "w")), None)
    assert "Champion" not in str(caught.value)


@pytest.mark.parametrize(("task", "labels"), [("binary", [0, 1]), ("regression", [1, 2, 3, 4])])
def test_importance_finds_the_feature_that_the_answer_is_in(task: str, labels: list[int]) -> None:
    table = _table(labels * 30)
    found = importance_of(_fitted(table, task), _training(task), table)
    assert [importance.column for importance in found] == ["x", "z"]
    assert found[0].mean > 10 * abs(found[1].mean)
