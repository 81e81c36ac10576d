"""Make one model of a search's trials: choose members and weights, fit them to all training rows, calibrate, save."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.classic.estimators.persistence import save_model
from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.racing import Results, is_complete, needed_trials
from pipelines.classic.search.reporting import TrialReporter
from pipelines.classic.search.rows import Rows, search_rows
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.training import train_ensemble
from pipelines.classic.search.training_data import read_training_rows
from pipelines.classic.search.trials import Schedule, SearchDetail
from pipelines.records import Candidate, SearchPlan, SearchShare, sha256_of
from pipelines.registry import runs
from pipelines.registry.provenance import code_commit, environment_sha256
from pipelines.spec import ClassicSpec
from pipelines.steps.candidates import made_once
from pipelines.steps.context import Context

LOG = logging.getLogger(__name__)


def train(context: Context[ClassicSpec], plan: SearchPlan, shares: Sequence[SearchShare]) -> Candidate:
    """Return the candidate of a search, made once: the same plan again gives the same record.

    Trials that a dead worker left undone are done here, so that a model does not depend on which worker lived.

    Raises:
        TrainingError: If no configuration could be fitted; names the reason of each.
        IntegrityError: If predictions in the store are not what was written.
        RegistryError: If MLflow does not answer; the candidate is stored by then, and running again goes on.
    """
    candidate = made_once(context, plan.search_key, lambda: _train(context, plan, shares))
    _show(context, candidate)
    return candidate


def _train(context: Context[ClassicSpec], plan: SearchPlan, shares: Sequence[SearchShare]) -> Candidate:
    started = time.monotonic()
    board = TrialBoard(context.store, plan.search_key, worker=plan.workers)  # a number that no search worker has
    board.refresh()
    detail = board.read_detail()
    rows = read_training_rows(context.store, context.spec, plan.snapshot)
    searched = max((share.seconds for share in shares), default=0.0)
    results = _results(context, plan, board, detail, rows)
    left = None if detail.budget_seconds is None else detail.budget_seconds - searched - (time.monotonic() - started)
    model, schedule = train_ensemble(
        detail,
        results,
        rows,
        search_rows(rows, detail.num_search_rows, detail.seed),
        board.predictions,
        left,
        {"model": plan.model, "snapshot_id": plan.snapshot.snapshot_id},
    )
    model_key, model_sha256, schedule_key = _save(context, plan.model, model, schedule)
    return Candidate(
        model=plan.model,
        snapshot_id=plan.snapshot.snapshot_id,
        model_key=model_key,
        model_sha256=model_sha256,
        training_key=schedule_key,
        mlflow_run_id=plan.mlflow_run_id,
        algorithm=schedule.algorithm,
        validation_metric=f"cv {context.spec.training.search_metric}",
        validation_score=schedule.cv_score,
        num_trials=len(schedule.trials),
        seconds=round(searched + time.monotonic() - started, 3),
        spec_sha256=context.spec.sha256,
        code_commit=code_commit(),
        environment_sha256=environment_sha256(),
    )


def _results(
    context: Context[ClassicSpec], plan: SearchPlan, board: TrialBoard, detail: SearchDetail, rows: Rows
) -> Results:
    """Return the trials that count: under a budget of trials exactly the planned ones, else all there are."""
    generations = [detail.configurations, *board.known_generations()]
    needed = needed_trials(detail, generations, board.results)
    unfinished = detail.budget_trials is not None and not is_complete(needed, board.results)
    if unfinished or not any(result.status == "done" for result in board.results.values()):
        LOG.info("the search was left unfinished; its missing trials are done now")
        chosen = search_rows(rows, detail.num_search_rows, detail.seed)
        with TrialReporter(context.environment, plan.mlflow_run_id, detail) as reporter:
            run_search(board, detail, chosen, reporter)
        generations = [detail.configurations, *board.known_generations()]
        needed = needed_trials(detail, generations, board.results)
    if detail.budget_trials is None:
        return board.results
    return {key: board.results[key] for key in needed if key in board.results}


def _save(context: Context[ClassicSpec], model_name: str, model: object, schedule: Schedule) -> tuple[str, str, str]:
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / "model.skops"
        save_model(model, path)
        model_sha256 = sha256_of(path.read_bytes())
        prefix = f"{model_name}/models/{model_sha256}"
        context.store.upload(f"{prefix}/model.skops", path)
    context.store.write(f"{prefix}/schedule.json", schedule.to_bytes())
    return f"{prefix}/model.skops", model_sha256, f"{prefix}/schedule.json"


def _show(context: Context[ClassicSpec], candidate: Candidate) -> None:
    runs.log_metrics(
        context.environment,
        candidate.mlflow_run_id,
        {
            candidate.validation_metric.replace(" ", "_"): candidate.validation_score,
            "num_trials": candidate.num_trials,
            "training_seconds": candidate.seconds,
        },
    )
    tags = {"tandem.algorithm": candidate.algorithm, "tandem.model_sha256": candidate.model_sha256}
    runs.set_tags(context.environment, candidate.mlflow_run_id, tags)
    scored = (candidate.validation_metric, candidate.validation_score)
    LOG.info("%s: %s %.5g, %d trials", candidate.algorithm, *scored, candidate.num_trials)
