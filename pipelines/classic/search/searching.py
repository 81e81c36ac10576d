"""One worker's search: claim trials, have them fitted, write what came of them, until nothing is left to do or to wait
for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.budget import GRACE_SECONDS, BudgetClock
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.fit_pool import Answer, FitPool, default_jobs
from pipelines.classic.search.racing import is_complete, needed_trials
from pipelines.classic.search.refine import propose
from pipelines.classic.search.rows import SearchRows, write_rows
from pipelines.classic.search.scoring import metric_value
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult

LOG = logging.getLogger(__name__)

POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0  # how often a busy worker reads the results of the others
MOST_GENERATIONS = 200

OnTrial = Callable[[TrialResult], None]


@dataclass(frozen=True)
class SearchCounts:
    """What one worker did."""

    num_trials: int
    seconds: float


def run_search(
    board: TrialBoard,
    detail: SearchDetail,
    rows: SearchRows,
    on_trial: OnTrial,
    jobs: int | None = None,
    started: float | None = None,
) -> SearchCounts:
    """Work on a search until it is complete or its budget is used up.

    Args:
        board: The search's trials; other workers may work on them too.
        detail: The plan.
        rows: What is fitted on.
        on_trial: Called for each trial that this worker finished; must be quick.
        jobs: Fits at once; one a core where left out.
        started: `time.monotonic()` when the budget began to run; now where left out.

    Raises:
        TrainingError: If fit processes keep dying.
        StoreError: If the store does not answer. What is written so far is kept, and counts when the search is run
            again.
    """
    with TemporaryDirectory(prefix="tandem-search-") as folder:
        write_rows(rows, Path(folder))
        with FitPool(Path(folder), jobs or default_jobs()) as pool:
            worker = _Worker(board, detail, pool, on_trial, time.monotonic() if started is None else started)
            worker.work()
            return SearchCounts(worker.num_trials, time.monotonic() - worker.started)


def fit_request(
    detail: SearchDetail, configuration: Configuration, fold: int, soft_seconds: float | None, iterations: int | None
) -> dict[str, Any]:
    """Return what a fit server is asked, see `pipelines.classic.search.fit_server`."""
    return {
        "configuration": configuration.to_dict(),
        "fold": fold,
        "seed": detail.seed,
        "task": detail.task,
        "metric": detail.metric,
        "soft_seconds": soft_seconds,
        "iterations": iterations,
    }


class _Worker:
    def __init__(
        self, board: TrialBoard, detail: SearchDetail, pool: FitPool, on_trial: OnTrial, started: float
    ) -> None:
        self.board = board
        self.detail = detail
        self.pool = pool
        self.on_trial = on_trial
        self.started = started
        self.num_trials = 0
        self.looked = time.monotonic()
        board.refresh()
        own = sum(result.seconds for result in board.results.values() if result.worker == board.worker)
        self.clock = BudgetClock(detail, pool.jobs, own / pool.jobs)
        self.generations: list[Sequence[Configuration]] = [detail.configurations, *board.known_generations()]

    def work(self) -> None:
        while True:
            left = self._left()
            needed = self._needed(left)
            self._hand_out(needed, left)
            if is_complete(needed, self.board.results) or (left <= 0 and not self.pool.running):
                return
            for answer in self.pool.wait(POLL_SECONDS):
                self._take(answer)
            self.board.renew(self.pool.running)
            self._look_around()

    def _look_around(self) -> None:
        """Read what others did: now and then, and at once when there is nothing else to do."""
        now = time.monotonic()
        if not self.pool.running or now - self.looked >= LOOK_SECONDS:
            self.looked = now
            self.board.refresh()

    def _left(self) -> float:
        return self.clock.seconds_left(time.monotonic() - self.started, self.board.results)

    def _needed(self, left: float) -> list[TrialKey]:
        needed = needed_trials(self.detail, self.generations, self.board.results)
        more = self.detail.budget_trials is None or len(needed) < self.detail.budget_trials
        may_refine = self.detail.refine and more and left > 0 and len(self.generations) <= MOST_GENERATIONS
        if may_refine and is_complete(needed, self.board.results):
            number = len(self.generations)
            proposed = self.board.generation(number, lambda: propose(self.detail, self.board.results, number))
            if proposed:
                self.generations.append(proposed)
                return needed_trials(self.detail, self.generations, self.board.results)
        return needed

    def _hand_out(self, needed: Sequence[TrialKey], left: float) -> None:
        configurations = {own.name: own for generation in self.generations for own in generation}
        for key in needed:
            if not self.pool.num_free:
                return
            done = key in self.board.results or key in self.pool.running
            if not done and self.clock.fits_in(key, left, self.board.results) and self.board.claim(key):
                soft = self.clock.soft_seconds(key, left)
                request = fit_request(self.detail, configurations[key.configuration], key.fold, soft, None)
                self.pool.submit(key, request, self.clock.hard_seconds(left), left + GRACE_SECONDS)

    def _take(self, answer: Answer) -> None:
        configuration = next(
            own for generation in self.generations for own in generation if own.name == answer.key.configuration
        )
        values: dict[str, Any] = dict(answer.answer or {})
        predictions = values.pop("predictions", None)
        values.pop("id", None)
        if answer.answer is None:
            values = {"status": "cut_off" if answer.cut_off else "failed", "loss": None, "reason": answer.reason}
        values["seconds"] = answer.seconds
        if values["loss"] is not None and values["loss"] == float("inf"):
            values["loss"] = None  # the metric means nothing on this fold, such as one class only
        result = TrialResult(configuration=configuration, fold=answer.key.fold, worker=self.board.worker, **values)
        data = None if predictions is None else (self.pool.folder / predictions).read_bytes()
        result = self.board.finish(result, data)
        self.num_trials += 1
        self._tell(result)
        self.on_trial(result)

    def _tell(self, result: TrialResult) -> None:
        metric = self.detail.metric
        scored = [own for own in self.board.results.values() if own.loss is not None]
        best = min(scored, key=lambda own: own.loss or 0.0, default=None)
        left = self._left()
        LOG.info(
            "%s fold %d: %s in %.1f s; best fold %s; %s",
            result.configuration.name,
            result.fold,
            result.status if result.loss is None else f"{metric} {metric_value(metric, result.loss):.5g}",
            result.seconds,
            "none yet" if best is None else f"{metric_value(metric, best.loss or 0.0):.5g} ({best.configuration.name})",
            f"{self.num_trials} trials" if left == float("inf") else f"{max(0.0, left):.0f} s left",
        )
        if result.reason:
            LOG.warning("%s fold %d %s: %s", result.configuration.name, result.fold, result.status, result.reason)
