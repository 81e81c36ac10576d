from __future__ import annotations

import numpy as np
import pytest

from pipelines.classic.estimators.ensemble import EnsembleClassifier, EnsembleRegressor, select_weights, without_small

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.normal(size=400)
FOLD_OF = np.arange(400) % 4


class Constant:
    """A member that always answers the same."""

    def __init__(self, answer: list[float], classes: list[int] | None = None) -> None:
        self.answer = answer
        self.classes_ = classes

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return np.full(len(X), self.answer[0])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return np.tile(self.answer, (len(X), 1))


def select(**predictions: np.ndarray) -> dict[str, float]:
    return select_weights(predictions, "regression", "rmse", TRUTH, FOLD_OF, seed=0)


def test_models_whose_errors_cancel_share_the_weight() -> None:
    noise = RANDOM.normal(size=400)
    weights = select(high=TRUTH + noise, low=TRUTH - noise, bad=RANDOM.normal(size=400))
    assert weights["high"] == pytest.approx(0.5, abs=0.03)
    assert weights["low"] == pytest.approx(0.5, abs=0.03)
    assert weights.get("bad", 0.0) < 0.05


def test_a_model_that_is_right_gets_all_the_weight() -> None:
    assert select(right=TRUTH, noisy=TRUTH + RANDOM.normal(size=400)) == {"right": 1.0}


def test_the_average_is_never_worse_than_the_best_model() -> None:
    predictions = {f"m{number}": TRUTH + RANDOM.normal(size=400) * (1 + number) for number in range(5)}
    weights = select(**predictions)
    average = sum(weight * predictions[name] for name, weight in weights.items())
    assert np.mean((average - TRUTH) ** 2) <= np.mean((predictions["m0"] - TRUTH) ** 2)


def test_the_order_in_which_models_are_given_changes_nothing() -> None:
    predictions = {f"m{number}": TRUTH + RANDOM.normal(size=400) for number in range(4)}
    assert select(**predictions) == select(**dict(reversed(predictions.items())))


def test_rows_that_no_fold_judges_do_not_count() -> None:
    fold_of = np.where(np.arange(400) < 200, -1, 0)
    wrong_there = np.where(fold_of < 0, 1e6, TRUTH)
    weights = select_weights({"a": wrong_there, "b": TRUTH + 0.1}, "regression", "rmse", TRUTH, fold_of, seed=0)
    assert weights == {"a": 1.0}


def test_tiny_weights_go_to_the_others() -> None:
    assert without_small({"a": 0.01, "b": 0.33, "c": 0.66}) == {"c": pytest.approx(2 / 3), "b": pytest.approx(1 / 3)}


def test_a_classifier_averages_probabilities_and_answers_with_labels() -> None:
    members = [Constant([0.2, 0.8], [0, 1]), Constant([1.0], [0])]  # the second has never seen class 1
    ensemble = EnsembleClassifier(members, [0.75, 0.25], ["no", "yes"], [None, None])
    np.testing.assert_allclose(ensemble.predict_proba(np.zeros((2, 1))), [[0.4, 0.6]] * 2)
    assert ensemble.predict(np.zeros((2, 1))).tolist() == ["yes", "yes"]
    assert ensemble.classes_.tolist() == ["no", "yes"]


def test_a_regressor_averages_values() -> None:
    ensemble = EnsembleRegressor([Constant([1.0]), Constant([5.0])], [0.75, 0.25])
    assert ensemble.predict(np.zeros((2, 1))).tolist() == [2.0, 2.0]
