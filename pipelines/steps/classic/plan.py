"""Fix the search before its first fit: configurations, folds, rows, budget; and open its run in MLflow."""

from __future__ import annotations

import logging

from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.planning import plan_id, plan_search
from pipelines.classic.search.training_data import read_training_rows
from pipelines.errors import UsageError
from pipelines.records import RunRequest, SearchPlan, SnapshotRef
from pipelines.registry import runs
from pipelines.spec import ClassicSpec
from pipelines.spec.training import Budget
from pipelines.steps.context import Context

LOG = logging.getLogger(__name__)


def plan(context: Context[ClassicSpec], snapshot: SnapshotRef, request: RunRequest) -> SearchPlan:
    """Write the plan of a search and return where it is; the same snapshot, spec and budget give the same plan.

    So a search that was done before is found again, and costs nothing.

    Raises:
        DataError: If the training rows cannot be learnt from: no target, one class, no feature that varies.
        UsageError: If the request asks for two budgets.
        RegistryError: If MLflow does not answer.
    """
    spec = context.spec
    budget = _budget(spec.training.budget, request)
    rows = read_training_rows(context.store, spec, snapshot)
    detail = plan_search(rows, spec.training, spec.source.time_column, budget.seconds, budget.trials)
    identity = plan_id(detail, snapshot.snapshot_id)
    search_key = f"{spec.name}/searches/{identity}"
    TrialBoard(context.store, search_key).write_detail(detail)
    for note in detail.notes:
        LOG.info("%s", note)
    tags = {"tandem.snapshot_id": snapshot.snapshot_id, "tandem.spec_sha256": spec.sha256}
    run_id = runs.find_or_create_run(context.environment, spec, identity, tags)
    if request.note:
        runs.set_tags(context.environment, run_id, {"tandem.note": request.note})
    runs.log_params(
        context.environment,
        run_id,
        {
            "task": detail.task,
            "search_metric": detail.metric,
            "num_rows": detail.num_rows,
            "num_search_rows": detail.num_search_rows,
            "num_folds": detail.num_folds,
            "num_configurations": len(detail.configurations),
            "budget_seconds": detail.budget_seconds,
            "budget_trials": detail.budget_trials,
            "seed": detail.seed,
        },
    )
    return SearchPlan(
        model=spec.name,
        snapshot=snapshot,
        search_key=search_key,
        mlflow_run_id=run_id,
        workers=spec.training.workers,
        budget_seconds=budget.seconds,
        budget_trials=budget.trials,
    )


def _budget(own: Budget, request: RunRequest) -> Budget:
    if request.budget_seconds is None and request.budget_trials is None:
        return own
    if request.budget_seconds is not None and request.budget_trials is not None:
        raise UsageError(
            f"The request asks for {request.budget_seconds:g} seconds and {request.budget_trials} trials; allowed: one "
            "of the two. Nothing was planned."
        )
    seconds, trials = request.budget_seconds, request.budget_trials
    if (seconds is not None and not 0 < seconds <= 7 * 86_400) or (trials is not None and not 1 <= trials <= 100_000):
        raise UsageError(
            f"The request asks for a budget of {seconds if trials is None else trials}; allowed: 0 to 604800 seconds "
            "or 1 to 100000 trials. Nothing was planned."
        )
    return Budget(seconds=seconds, trials=trials)
