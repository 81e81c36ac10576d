"""Also holds the two private names of scikit-learn that `boosting` rests on: these tests fail when they move."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from pipelines.classic.estimators.boosting import fit_boosting
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.threads import openmp_threads

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3_000, 5))
CLASSES = (X[:, 0] + X[:, 1] ** 2 + RANDOM.normal(size=3_000) > 1).astype(int)


def make(**params: float) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(**{"random_state": 0, "max_features": 0.5, "max_iter": 400, **params})


def test_the_clock_stops_it_and_as_many_iterations_give_the_same_bits() -> None:
    stopped_model, again = make(max_iter=100_000), None
    started = time.monotonic()
    ran, stopped = fit_boosting(stopped_model, X, CLASSES, Clock.after(0.3))
    assert time.monotonic() - started < 5
    assert stopped
    assert 1 <= ran < 100_000
    again = make(max_iter=ran)
    assert fit_boosting(again, X, CLASSES, Clock()) == (ran, False)
    assert (stopped_model.predict_proba(X) == again.predict_proba(X)).all()


def test_validation_rows_stop_it_and_only_the_best_iterations_are_kept() -> None:
    model = make()
    ran, stopped = fit_boosting(model, X[:1500], CLASSES[:1500], Clock(), (X[1500:], CLASSES[1500:]))
    assert not stopped
    assert model.n_iter_ == np.argmax(model.validation_score_) < ran < 400
    again = make(max_iter=ran)
    fit_boosting(again, X[:1500], CLASSES[:1500], Clock(), (X[1500:], CLASSES[1500:]))
    assert (model.predict_proba(X) == again.predict_proba(X)).all()


def test_a_clock_that_has_rung_still_leaves_one_iteration() -> None:
    model = HistGradientBoostingRegressor(max_iter=50)
    assert fit_boosting(model, X, X[:, 0], Clock.after(0)) == (1, True)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    reference, model = make(max_iter=20), make(max_iter=20)
    with openmp_threads(1):
        fit_boosting(reference, X, CLASSES, Clock())
    with openmp_threads(threads):
        fit_boosting(model, X, CLASSES, Clock())
    assert (reference.predict_proba(X) == model.predict_proba(X)).all()


def test_what_is_left_is_scikit_learns_own_class_without_the_clock() -> None:
    model = make(max_iter=3)
    fit_boosting(model, X, CLASSES, Clock.after(10))
    assert type(model) is HistGradientBoostingClassifier
    assert not {"clock", "was_stopped"} & set(vars(model))
