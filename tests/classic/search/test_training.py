from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from pipelines.classic.estimators.prediction import predict
from pipelines.classic.search.assembly import choose, refit_places, sample_with
from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.racing import needed_trials
from pipelines.classic.search.rows import search_rows
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.training import train_ensemble
from pipelines.classic.search.trials import TrialKey, TrialResult
from pipelines.errors import DataError, TrainingError
from pipelines.store.memory import MemoryStore

ORIGIN = {"model": "m", "snapshot_id": "s"}
KEPT = {"hist_gradient_boosting_small", "linear", "linear_strong"}


def searched(planned: Callable[..., Any], task: str, trials: int, **changes: Any) -> Any:
    detail, rows, chosen = planned(task, trials=trials, **changes)
    kept = tuple(own for own in detail.configurations if own.name in KEPT)
    detail = detail.model_copy(update={"configurations": kept})
    board = TrialBoard(MemoryStore(), "m/searches/1")
    run_search(board, detail, chosen, lambda result: None)
    needed = needed_trials(detail, [detail.configurations], board.results)
    return detail, rows, chosen, board, {key: board.results[key] for key in needed}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_model_is_made_that_answers_unseen_rows(
    planned: Callable[..., Any],
    table: Callable[..., pa.Table],
    training: Callable[..., Any],
    task: str,
) -> None:
    detail, rows, chosen, board, results = searched(planned, task, 15, num_rows=600, folds="time")
    model, schedule = train_ensemble(detail, results, rows, chosen, board.predictions, None, ORIGIN)
    assert schedule.detail.by_time
    assert schedule.num_refit_rows == 600
    unseen = table(200, task, seed=5).append_column("more", pa.nulls(200))
    kinds = pa.array(["never seen", *unseen["kind"].to_pylist()[1:]])
    unseen = unseen.set_column(unseen.column_names.index("kind"), "kind", kinds)
    answers = predict(model, unseen, training(task))
    truth = unseen["y"].to_pylist()
    if task == "regression":
        assert scipy.stats.spearmanr(answers, truth).statistic > 0.6
    else:
        assert answers.shape == (200, len(model.classes_))
        np.testing.assert_allclose(answers.sum(axis=1), 1.0)
        assert (model.classes_[answers.argmax(axis=1)] == np.array(truth)).mean() > 0.6
    assert len(predict(model, unseen.slice(0, 0), training(task))) == 0
    with pytest.raises(DataError, match="lack the features 'amount'"):
        predict(model, unseen.drop_columns("amount"), training(task))


def test_members_whose_refit_would_take_too_long_are_left_out_and_said_so(planned: Callable[..., Any]) -> None:
    detail, _, chosen, board, results = searched(planned, "regression", 15)
    slow = {
        key: result.model_copy(update={"seconds": 100.0 if key.configuration != "linear_strong" else 0.01})
        for key, result in results.items()
    }
    choice = choose(detail, slow, chosen, board.predictions, seconds_left=1.0, jobs=1)
    assert list(choice.weights) == ["linear_strong"]
    assert choice.left_out
    assert "would take about" in choice.left_out[0].reason
    assert choose(detail, slow, chosen, board.predictions, float("inf"), 1).left_out == ()


def test_when_nothing_could_be_fitted_each_reason_is_named(planned: Callable[..., Any]) -> None:
    detail, _, chosen = planned()
    failed = [
        TrialResult(
            configuration=own,
            fold=0,
            status="failed",
            loss=None,
            seconds=0.1,
            reason=f"ValueError: because of {own.name}",
        )
        for own in detail.configurations
    ]
    with pytest.raises(TrainingError) as caught:
        choose(detail, {result.key: result for result in failed}, chosen, lambda result: np.zeros(1), 1.0, 1)
    for own in detail.configurations:
        assert f"because of {own.name}" in str(caught.value)


def test_a_model_of_very_many_rows_is_fitted_to_as_many_as_time_allows(planned: Callable[..., Any]) -> None:
    detail, rows, _ = planned(num_rows=5_000)
    chosen = search_rows(rows, 1_000, seed=0)
    detail = detail.model_copy(update={"num_search_rows": 1_000})
    own = detail.configurations[0]
    done = TrialResult(configuration=own, fold=0, status="done", loss=1.0, seconds=2.0)
    results = {TrialKey(own.name, 0): done}
    all_rows = refit_places(detail, chosen, results, [own.name], 1_000.0, 1)
    assert (all_rows == np.arange(5_000)).all()
    some = refit_places(detail, chosen, results, [own.name], 7.0, 1)
    assert 2_000 <= len(some) < 5_000
    assert set(chosen.places) <= set(some)
    assert (some == sample_with(chosen, 5_000, len(some), detail.seed)).all()
