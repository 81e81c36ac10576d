from __future__ import annotations

import numpy as np
import pytest

from pipelines.classic.estimators.calibration import (
    Calibrator,
    calibrated,
    fit_calibrator,
    learn_calibrator,
    loss_calibrated,
)
from pipelines.classic.search.scoring import loss_of

RANDOM = np.random.default_rng(0)
LOG_ODDS = RANDOM.normal(size=3_000)
TRUTH = (RANDOM.random(3_000) < 1 / (1 + np.exp(-LOG_ODDS))).astype(int)


def probabilities(log_odds: np.ndarray) -> np.ndarray:
    positive = 1 / (1 + np.exp(-log_odds))
    return np.column_stack([1 - positive, positive])


def test_too_bold_probabilities_are_calibrated_and_their_order_stays() -> None:
    bold = probabilities(3 * LOG_ODDS + 1)
    trial = learn_calibrator("binary", "roc_auc", TRUTH, bold, seed=0)
    assert trial.calibrator is not None
    assert trial.calibrator.slope == pytest.approx(1 / 3, rel=0.1)
    after = trial.calibrator.apply(bold)
    assert loss_of("binary", "log_loss", TRUTH, after) < 0.8 * loss_of("binary", "log_loss", TRUTH, bold)
    assert (np.argsort(after[:, 1], kind="stable") == np.argsort(bold[:, 1], kind="stable")).all()
    np.testing.assert_allclose(after.sum(axis=1), 1.0)


def test_right_probabilities_stay_as_they_are() -> None:
    assert learn_calibrator("binary", "log_loss", TRUTH, probabilities(LOG_ODDS), seed=0).calibrator is None


def test_calibration_that_would_hurt_the_searchs_own_metric_is_not_kept() -> None:
    # A model that is too bold upwards calls nearly all positives so: honest probabilities would lower its recall.
    upward = probabilities(3 * LOG_ODDS + 3)
    assert learn_calibrator("binary", "recall", TRUTH, upward, seed=0).calibrator is None
    assert learn_calibrator("binary", "log_loss", TRUTH, upward, seed=0).calibrator is not None


def test_few_rows_teach_no_calibration() -> None:
    assert learn_calibrator("binary", "log_loss", TRUTH[:60], probabilities(5 * LOG_ODDS[:60]), 0).calibrator is None


def test_more_classes_get_one_temperature_that_keeps_the_first_choice() -> None:
    scores = RANDOM.normal(size=(2_000, 4))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = np.array([RANDOM.choice(4, p=row) for row in shares])
    bold = np.exp(4 * scores) / np.exp(4 * scores).sum(axis=1, keepdims=True)
    trial = learn_calibrator("multiclass", "log_loss", truth, bold, seed=0)
    assert trial.calibrator is not None
    assert trial.calibrator.intercept == 0
    assert trial.calibrator.slope == pytest.approx(0.25, rel=0.1)
    assert (trial.calibrator.apply(bold).argmax(axis=1) == bold.argmax(axis=1)).all()


def test_certain_answers_that_are_wrong_stay_finite() -> None:
    wrong = np.array([[1.0, 0.0]] * 100 + [[0.0, 1.0]] * 100)
    truth = np.array([1] * 10 + [0] * 90 + [1] * 90 + [0] * 10)
    assert np.isfinite(fit_calibrator(truth, wrong).apply(wrong)).all()


def test_racing_does_not_mind_boldness() -> None:
    bold, honest = probabilities(4 * LOG_ODDS), probabilities(LOG_ODDS)
    assert loss_calibrated("binary", "log_loss", TRUTH, bold) == pytest.approx(
        loss_calibrated("binary", "log_loss", TRUTH, honest), rel=1e-3
    )
    own = loss_of("binary", "roc_auc", TRUTH, bold)
    assert loss_calibrated("binary", "roc_auc", TRUTH, bold) == own


def test_no_calibrator_changes_nothing() -> None:
    honest = probabilities(LOG_ODDS)
    assert calibrated(honest, None) is honest
    np.testing.assert_allclose(Calibrator().apply(honest), honest)
