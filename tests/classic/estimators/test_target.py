from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipelines.classic.estimators.target import ScaledTarget

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(2_000, 3))


def test_a_logarithm_learns_what_multiplies_and_answers_means() -> None:
    noise = np.exp(0.5 * RANDOM.normal(size=2_000))
    y = np.exp(ROWS[:, 0] + 2) * noise
    model = ScaledTarget(Ridge(), log=True).fit(ROWS, y)
    assert model.predict(ROWS).sum() == pytest.approx(y.sum(), rel=1e-6)
    inner = np.abs(ROWS[:, 0]) < 1
    assert (model.predict(ROWS) / np.exp(ROWS[:, 0] + 2))[inner].mean() == pytest.approx(np.exp(0.125), rel=0.1)


def test_an_odd_row_does_not_send_the_answer_to_infinity() -> None:
    model = ScaledTarget(Ridge(), log=True).fit(ROWS, np.exp(ROWS[:, 0]))
    assert model.predict(np.array([[1e6, 0, 0]]))[0] < 10 * np.exp(ROWS[:, 0]).max()


def test_a_plain_target_is_answered_in_its_own_unit() -> None:
    y = 1e6 + 1e3 * ROWS[:, 0]
    model = ScaledTarget(Ridge(1e-9)).fit(ROWS, y)
    np.testing.assert_allclose(model.predict(ROWS), y, rtol=1e-6)


def test_a_constant_target_is_answered() -> None:
    assert ScaledTarget(Ridge()).fit(ROWS, np.full(2_000, 5.0)).predict(ROWS[:2]).tolist() == [5.0, 5.0]
