"""MLflow runs: one experiment a model, one run a search plan, one nested run a trial.

Nothing here uses MLflow's global state (active run, tracking URI), so that threads, workers and tests do not see each
other's. What a run says is for people; no decision is read back from it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from pipelines.errors import RegistryError
from pipelines.registry.connection import connect, translated
from pipelines.spec import Environment, ModelSpec

__all__ = [
    "connect",
    "find_or_create_experiment",
    "find_or_create_run",
    "finish_run",
    "log_artifact",
    "log_metrics",
    "log_params",
    "log_trial",
    "run_url",
    "set_tags",
]

PLAN_TAG = "tandem.plan_id"
TRIAL_TAG = "tandem.trial"
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"  # which of its pages MLflow shows
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own: its web UI nests by it
LONGEST_VALUE = 500  # characters; MLflow refuses longer parameters on some backends


def find_or_create_experiment(environment: Environment, model: str) -> str:
    """Return the id of the model's experiment, made with its artifacts under the environment's artifact root.

    Raises:
        RegistryError: If MLflow does not answer.
    """
    client = connect(environment)
    with translated(environment):
        found = client.get_experiment_by_name(model) or _create_experiment(client, environment, model)
        if found.lifecycle_stage != "active":  # deleted by hand in the web UI; runs cannot be added until it is back
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def find_or_create_run(
    environment: Environment, spec: ModelSpec, plan_id: str, tags: Mapping[str, str] | None = None
) -> str:
    """Return the id of the one run of a search plan; the same plan gets the same run however often it is asked for.

    Args:
        environment: Where MLflow is.
        spec: The model; its name is the experiment's.
        plan_id: What identifies the plan; kept as a tag.
        tags: More tags for a new run.

    Raises:
        RegistryError: If MLflow does not answer.
    """
    experiment_id = find_or_create_experiment(environment, spec.name)
    client = connect(environment)
    with translated(environment):
        if not _runs_of(client, experiment_id, plan_id):
            client.create_run(
                experiment_id,
                run_name=f"{spec.name} {plan_id[:12]}",
                tags={**(tags or {}), PLAN_TAG: plan_id, "tandem.model": spec.name},
            )
        # Of two that were made at once both callers take the older.
        return str(_runs_of(client, experiment_id, plan_id)[0].info.run_id)


def log_trial(
    environment: Environment,
    run_id: str,
    trial: int | str,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    finished: bool = True,
) -> None:
    """Write one trial of a search as a run nested under the plan's run; the same trial again adds no second run.

    It costs about 25 ms with SQLite (one lookup and three writes), so that trials can be watched while they run.

    Args:
        environment: Where MLflow is.
        run_id: The plan's run.
        trial: What tells the trial from all others of the plan: a number, or a text such as "worker 1, trial 7".
        params: What was tried; values are written as text.
        metrics: What came of it; values that are NaN or infinite are left out.
        finished: False marks a trial that the clock or a race cut off.

    Raises:
        RegistryError: If MLflow does not answer.
    """
    client = connect(environment)
    with translated(environment):
        experiment_id = _experiment_of(environment, run_id)
        same = f"tags.`{PARENT_TAG}` = '{run_id}' and tags.`{TRIAL_TAG}` = '{trial}'"
        found = client.search_runs([experiment_id], same, max_results=1)
        tags = {PARENT_TAG: run_id, TRIAL_TAG: str(trial)}
        child = found[0] if found else client.create_run(experiment_id, run_name=f"trial {trial}", tags=tags)
        if child.info.status == "RUNNING":  # else an earlier attempt wrote it whole
            client.log_batch(child.info.run_id, metrics=_metrics(metrics, 0), params=_params(params))
            client.set_terminated(child.info.run_id, "FINISHED" if finished else "KILLED")


def log_metrics(environment: Environment, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Write numbers to a run in one request; NaN and infinity are left out. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        client.log_batch(run_id, metrics=_metrics(metrics, step))


def log_params(environment: Environment, run_id: str, params: Mapping[str, object]) -> None:
    """Write parameters to a run in one request, cut to what MLflow takes. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        client.log_batch(run_id, params=_params(params))


def set_tags(environment: Environment, run_id: str, tags: Mapping[str, str]) -> None:
    """Write tags to a run in one request, replacing those of the same name. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def log_artifact(environment: Environment, run_id: str, path: Path, folder: str | None = None) -> None:
    """Copy a file to the run's artifacts, under `folder` where given. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        client.log_artifact(run_id, str(path), folder)


def finish_run(environment: Environment, run_id: str, status: str = "FINISHED") -> None:
    """Mark a run as ended: FINISHED, FAILED or KILLED. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        client.set_terminated(run_id, status)


def run_url(environment: Environment, run_id: str) -> str:
    """Return the address of a run in MLflow's web UI. Raises `RegistryError` if MLflow has no such run."""
    client = connect(environment)
    with translated(environment):
        experiment_id = client.get_run(run_id).info.experiment_id
    base = environment.mlflow.web_url or environment.mlflow.tracking_uri
    if not base.startswith("http"):
        base = f"http://{environment.mlflow.host}:{environment.mlflow.port}"
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


@lru_cache(maxsize=16)
def _experiment_of(environment: Environment, run_id: str) -> str:
    return str(connect(environment).get_run(run_id).info.experiment_id)


def _create_experiment(client: MlflowClient, environment: Environment, model: str) -> Experiment:
    location = f"{environment.mlflow.artifact_root.rstrip('/')}/{model}"
    try:
        client.create_experiment(model, artifact_location=location, tags={KIND_TAG: KIND})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # else another process made it first, which is as good
            raise
    found = client.get_experiment_by_name(model)
    if found is None:
        raise RegistryError(f"MLflow at {environment.mlflow.tracking_uri} made experiment {model!r} and lost it again.")
    return found


def _runs_of(client: MlflowClient, experiment_id: str, plan_id: str) -> list[Run]:
    runs = client.search_runs([experiment_id], f"tags.`{PLAN_TAG}` = '{plan_id}'", max_results=10)
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def _metrics(metrics: Mapping[str, float], step: int) -> list[Metric]:
    now_ms = int(time.time() * 1000)
    finite = {key: float(value) for key, value in metrics.items() if abs(float(value)) < float("inf")}
    return [Metric(key, value, now_ms, step) for key, value in finite.items()]


def _params(params: Mapping[str, object]) -> list[Param]:
    return [Param(key, str(value)[:LONGEST_VALUE]) for key, value in params.items()]
