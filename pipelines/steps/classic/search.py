"""Work on a planned search as one of its workers: each trial is one configuration fitted on one fold."""

from __future__ import annotations

import time

from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.reporting import TrialReporter
from pipelines.classic.search.rows import search_rows
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.training_data import read_training_rows
from pipelines.records import SearchPlan, SearchShare
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context


def search(context: Context[ClassicSpec], plan: SearchPlan, worker: int) -> SearchShare:
    """Claim and fit trials until none is left or the budget is used up; return what this worker did.

    Run again after a crash it goes on from the results in the store. Any number of workers may run at once.

    Raises:
        TrainingError: If fit processes keep dying.
        StoreError: If the store does not answer.
    """
    started = time.monotonic()
    board = TrialBoard(context.store, plan.search_key, worker)
    detail = board.read_detail()
    rows = read_training_rows(context.store, context.spec, plan.snapshot)
    chosen = search_rows(rows, detail.num_search_rows, detail.seed)
    with TrialReporter(context.environment, plan.mlflow_run_id, detail) as reporter:
        counts = run_search(board, detail, chosen, reporter, started=started)
    return SearchShare(worker=worker, num_trials=counts.num_trials, seconds=round(time.monotonic() - started, 3))
