"""Ask Airflow for one training run, follow it with live progress, and collect what its steps left."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from pipelines.errors import Refused, ServiceError
from pipelines.local.airflow_api import AirflowApi
from pipelines.local.follow import Follower
from pipelines.registry.runs import run_url
from pipelines.spec import load_model
from pipelines.steps.context import Context
from pipelines.steps.loop import read_outcome
from pipelines.steps.run import TRAINING_STEPS

LOG = logging.getLogger(__name__)
PARSE_SECONDS = 120
LAST_RUNS_TRIED = 100


def run_dag(model: str, links: Mapping[str, str]) -> dict[str, Any]:
    """Run `train__<model>` to its end and return the record of each step, by step.

    The run's id is the hash of the model spec: of an unchanged spec, a run that has succeeded is shown again, one that
    goes on is followed, and one that failed is tried anew under the next number.

    Args:
        model: Name of the model spec.
        links: What `make up` answered: addresses, user and password.

    Raises:
        Refused: If the run ends red.
        ServiceError: If Airflow does not answer, or cannot read the DAG's file.
    """
    context = Context.open(model)
    dag_id = f"train__{model}"
    with AirflowApi(links["airflow_url"], links["user"], links["password"]) as api:
        wait_for_dag(api, dag_id)
        api.unpause(dag_id)
        run_id = _claim_run(api, dag_id, f"demo__{load_model(model).sha256[:12]}")
        url = f"{links['airflow_url']}/dags/{dag_id}/runs/{run_id}"
        LOG.info("Following %s", url)
        if Follower(api, dag_id, run_id, LOG.info).follow() != "success":
            raise Refused(f"The run ended red; the lines above say why, and the champion is who it was. See {url}")
        left = {step: api.returned(dag_id, run_id, step) for step in TRAINING_STEPS[context.spec.kind]}
    left |= read_outcome(context, left)
    mlflow_url = run_url(context.environment, left["plan"]["mlflow_run_id"])
    return {**left, "dag_run_url": url, "mlflow_run_url": mlflow_url}


def wait_for_dag(api: AirflowApi, dag_id: str) -> None:
    """Wait until Airflow has read the DAG's file. Raises `ServiceError` when it cannot, or takes too long."""
    deadline = time.monotonic() + PARSE_SECONDS
    while api.find_dag(dag_id) is None:
        broken = api.import_errors()
        if broken:
            raise ServiceError("Airflow cannot read a DAG file; nothing was run:\n" + "\n".join(broken))
        if time.monotonic() > deadline:
            raise ServiceError(f"Airflow did not read {dag_id} within {PARSE_SECONDS} s. Nothing was run.")
        time.sleep(0.5)


def _claim_run(api: AirflowApi, dag_id: str, first_id: str) -> str:
    for number in range(1, LAST_RUNS_TRIED):
        run_id = first_id if number == 1 else f"{first_id}-{number}"
        if api.trigger(dag_id, run_id, {"note": "make demo"}):
            LOG.info("Triggered %s as %s", dag_id, run_id)
            return run_id
        if api.run(dag_id, run_id)["state"] != "failed":
            LOG.info("%s is there already as %s", dag_id, run_id)
            return run_id
    raise ServiceError(f"{LAST_RUNS_TRIED} runs named {first_id} failed; read their logs first. Nothing was run.")
