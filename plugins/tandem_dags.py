"""What all DAGs of models share: when a task is tried again, and what stands in where a spec is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule
from tandem_operators import StepOperator

from pipelines.errors import IntegrityError, Refused, SpecError, UsageError
from pipelines.spec import ModelSpec, load_model, model_names

# a verdict and a wrong spec stay what they are, however often they are asked for: only faults are tried again
_FAULTS_ONLY = ExceptionRetryPolicy(rules=[RetryRule(exception=[Refused, UsageError], action=RetryAction.FAIL)])

OUTAGES_ONLY = ExceptionRetryPolicy(
    rules=[RetryRule(exception=[Refused, UsageError, IntegrityError], action=RetryAction.FAIL)]
)
"""For what is tried again for hours: what was altered in the store stays altered, and must be seen at once."""


def task_defaults(spec: ModelSpec) -> dict[str, Any]:
    """Return what holds for every task of a model's DAG."""
    return {"owner": spec.owner, "model": spec.name, "retries": 2, "retry_policy": _FAULTS_ONLY}


def model_dags(kind: str, build: Callable[[ModelSpec], DAG]) -> dict[str, DAG]:
    """Return `<kind>__<model>` for every model spec; a broken one must not take the other models' DAGs away."""
    dags: dict[str, DAG] = {}
    for name in model_names():
        dag_id = f"{kind}__{name}"
        try:
            dags[dag_id] = build(load_model(name))
        except SpecError as error:
            dags[dag_id] = _broken_dag(dag_id, name, error)
    return dags


def _broken_dag(dag_id: str, name: str, error: SpecError) -> DAG:
    """Return a DAG that stands in for a model whose spec has problems: it shows them, and fails with them."""
    shown = f"```\n{error}\n```"
    with DAG(dag_id=dag_id, schedule=None, tags=["broken spec"], doc_md=shown) as dag:
        StepOperator(task_id="reconcile", model=name)
    return dag
