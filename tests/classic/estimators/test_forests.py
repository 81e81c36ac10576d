from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestRegressor

from pipelines.classic.estimators.forests import BLOCK_TREES, fit_forest
from pipelines.classic.search.clock import Clock

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4))


@pytest.mark.parametrize("kind", [ExtraTreesRegressor, RandomForestRegressor])
def test_a_forest_grown_in_blocks_is_the_forest_grown_at_once(kind: type) -> None:
    blocks, once = kind(n_estimators=25, random_state=3), kind(n_estimators=25, random_state=3)
    assert fit_forest(blocks, X, X[:, 0], Clock()) == (25, False)
    once.fit(X, X[:, 0])
    assert (blocks.predict(X) == once.predict(X)).all()


def test_the_clock_ends_it_after_a_block_and_as_many_trees_give_the_same_bits() -> None:
    cut, again = (ExtraTreesClassifier(n_estimators=trees, random_state=1) for trees in (500, BLOCK_TREES))
    y = (X[:, 0] > 0).astype(int)
    assert fit_forest(cut, X, y, Clock.after(0)) == (BLOCK_TREES, True)
    assert fit_forest(again, X, y, Clock()) == (BLOCK_TREES, False)
    assert (cut.predict_proba(X) == again.predict_proba(X)).all()


def test_threads_change_no_bit_and_answers_use_none() -> None:
    one, two = (ExtraTreesRegressor(n_estimators=20, random_state=1) for _ in range(2))
    fit_forest(one, X, X[:, 1], Clock(), threads=1)
    fit_forest(two, X, X[:, 1], Clock(), threads=2)
    assert two.n_jobs == 1
    assert (one.predict(X) == two.predict(X)).all()
