"""Real fits in real processes; each search here takes a few seconds, most of them for starting the processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.racing import needed_trials
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult
from pipelines.store.memory import MemoryStore

KEPT = ("hist_gradient_boosting_small", "linear", "splines")


@pytest.fixture
def small(planned: Callable[..., Any]) -> Callable[..., Any]:
    """A plan with three quick configurations: `small(trials, seconds, **changes)`."""

    def make(trials: int | None = 8, seconds: float | None = None, **changes: Any) -> Any:
        detail, rows, chosen = planned(trials=trials, seconds=seconds, **changes)
        configurations = tuple(own for own in detail.configurations if own.name in KEPT)
        return detail.model_copy(update={"configurations": configurations}), rows, chosen

    return make


def board(worker: int = 0, store: MemoryStore | None = None, stale_seconds: float = 45.0) -> TrialBoard:
    return TrialBoard(store or MemoryStore(), "m/searches/1", worker, stale_seconds)


def ignore(result: TrialResult) -> None:
    """Tell nobody."""


def hashes(found: TrialBoard, detail: SearchDetail) -> dict[TrialKey, str | None]:
    """Return what the trials that count answered."""
    needed = needed_trials(detail, [detail.configurations, *found.known_generations()], found.results)
    return {key: found.results[key].predictions_sha256 for key in needed}


def test_one_two_and_dying_workers_give_the_same_trials(small: Callable[..., Any]) -> None:
    detail, _, chosen = small(trials=8)
    alone, told = board(), list[TrialResult]()
    counts = run_search(alone, detail, chosen, told.append, jobs=1)
    assert counts.num_trials == len(told) == 8
    expected = hashes(alone, detail)
    assert len(expected) == 8
    assert None not in expected.values()

    store = MemoryStore()
    workers = [board(worker, store) for worker in (0, 1)]
    threads = [threading.Thread(target=run_search, args=(one, detail, chosen, ignore, 1)) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in workers:
        assert hashes(one, detail) == expected
    assert {result.worker for result in workers[0].results.values()} == {0, 1}  # both did their part

    store = MemoryStore()
    dead = board(0, store, stale_seconds=0.5)
    assert dead.claim(TrialKey("linear", 0))  # and is heard of no more
    heir = board(1, store, stale_seconds=0.5)
    run_search(heir, detail, chosen, ignore, jobs=2)
    assert hashes(heir, detail) == expected
    assert heir.results[TrialKey("linear", 0)].worker == 1

    again = run_search(board(1, store), detail, chosen, ignore, jobs=1)
    assert again.num_trials == 0  # all was there


def test_a_budget_of_seconds_is_kept_and_a_fit_that_runs_over_is_cut_off(small: Callable[..., Any]) -> None:
    detail, _, chosen = small(trials=None, seconds=14.0)
    params = {"max_iter": 10**8, "tol": 0.0, "n_iter_no_change": 10**8}
    endless = [
        Configuration(name=f"endless_{number}", family="network", style="dense", params=params) for number in range(8)
    ]
    configurations = (detail.configurations[1], *endless)
    detail = detail.model_copy(update={"configurations": configurations, "max_fit_seconds": 2.0})
    found, started = board(), time.monotonic()
    run_search(found, detail, chosen, ignore, jobs=1)
    assert time.monotonic() - started < 14.0 * 1.1
    assert found.results[TrialKey(detail.configurations[0].name, 0)].status == "done"
    cut = found.results[TrialKey("endless_0", 0)]
    assert cut.status == "cut_off"
    assert cut.loss is None
    assert "stopped after" in cut.reason
    assert TrialKey("endless_7", 0) not in found.results  # the budget was used up before


def test_what_an_earlier_attempt_spent_is_not_spent_again(small: Callable[..., Any]) -> None:
    detail, _, chosen = small(trials=None, seconds=10.0)
    spent = TrialResult(
        configuration=detail.configurations[0], fold=0, status="cut_off", loss=None, seconds=9.9, worker=0
    )
    found = board()
    found.finish(spent, None)
    assert run_search(found, detail, chosen, ignore, jobs=1).num_trials == 0


def test_refinement_adds_configurations_until_the_trials_are_used_up(small: Callable[..., Any]) -> None:
    detail, _, chosen = small(trials=24, refine=True)
    found = board()
    run_search(found, detail, chosen, ignore, jobs=2)
    assert len(hashes(found, detail)) == 24
    refined = {key.configuration for key in found.results} - {own.name for own in detail.configurations}
    assert refined
    assert all("_refined_" in name for name in refined)


def test_a_trials_predictions_are_for_the_rows_its_fold_judges(small: Callable[..., Any]) -> None:
    detail, _, chosen = small(trials=3)
    found = board()
    run_search(found, detail, chosen, ignore, jobs=1)
    result = found.results[TrialKey("linear", 0)]
    predicted = found.predictions(result)
    judged = chosen.folds.judged(0)
    assert predicted.shape == (len(judged), 2)
    right = (predicted.argmax(axis=1) == chosen.y[judged]).mean()
    assert right > 0.7
    np.testing.assert_allclose(predicted.sum(axis=1), 1.0)
