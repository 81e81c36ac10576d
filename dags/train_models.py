"""Build `train__<model>` for every model spec: from new data to a verdict, and to a new champion where the verdict allows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule, task
from tandem_approval import approval
from tandem_form import documentation, fields, requested
from tandem_links import MlflowRunLink, QualityReportLink

from pipelines.errors import Refused, SpecError, UsageError
from pipelines.spec import ModelSpec, load_model, model_names

# a verdict and a wrong spec stay what they are, however often they are asked for: only faults are tried again
FAULTS_ONLY = ExceptionRetryPolicy(rules=[RetryRule(exception=[Refused, UsageError], action=RetryAction.FAIL)])


def broken_dag(name: str, error: SpecError) -> DAG:
    """Return a DAG that stands in for a model whose spec has problems, shows them, and fails with them."""
    with DAG(dag_id=f"train__{name}", tags=["training", "broken spec"], doc_md=f"```\n{error}\n```") as dag:

        @task(retries=0)
        def read_spec() -> None:
            load_model(name)

        read_spec()
    return dag


def train_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model; the steps are those of `tandem run`."""
    model = spec.name

    def run(step: str, *records: Any) -> Any:
        from pipelines.steps.run import run_step  # on the worker: parsing stays fast

        return run_step(step, model, *records)

    with DAG(
        dag_id=f"train__{model}",
        description=spec.description,
        schedule=spec.schedule.cron,
        max_active_runs=1,
        catchup=False,
        default_args={
            "owner": spec.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=5),
            "retry_policy": FAULTS_ONLY,
        },
        params=fields(spec),
        tags=["training", spec.kind, *spec.tags],
        doc_md=documentation(spec),
    ) as dag:

        @task
        def reconcile() -> Any:
            return run("reconcile")

        @task
        def ingest(**context: Any) -> Any:
            return run("ingest", requested(context))

        @task
        def validate(ingested: Any) -> Any:
            return run("validate", ingested)

        @task
        def snapshot(validated: Any) -> Any:
            return run("snapshot", validated)

        @task
        def plan(taken: Any, **context: Any) -> Any:
            return run("plan", taken, requested(context))

        @task
        def search(planned: Any, worker: int) -> Any:
            return run("search", planned, worker)

        @task
        def train(planned: Any, shares: Any) -> Any:
            return run("train", planned, list(shares))

        @task
        def evaluate(candidate: Any) -> Any:
            return run("evaluate", candidate)

        @task(retries=0)
        def gate(candidate: Any, evaluation: Any) -> Any:
            return run("gate", candidate, evaluation)

        @task
        def register(judged: Any) -> Any:
            return run("register", judged)

        @task
        def promote(registered: Any, answer: Any = None, **context: Any) -> Any:
            by = answer["responded_by_user"]["name"] if answer else requested(context)["by"]
            return run("promote", registered, by)

        validated = validate(ingest())
        planned = plan(snapshot(validated))
        candidate = train(planned, search.partial(planned=planned).expand(worker=list(range(spec.training.workers))))
        evaluation = evaluate(candidate)
        reconcile() >> evaluation
        judged = gate(candidate, evaluation)
        registered = register(judged)
        answer = approval(spec, registered)
        promoted = promote(registered, answer)

        validated.operator.operator_extra_links = (QualityReportLink(),)
        for step in (planned, candidate, evaluation, judged, registered, promoted):
            step.operator.operator_extra_links = (MlflowRunLink(),)
    return dag


for name in model_names():
    try:
        globals()[f"train__{name}"] = train_dag(load_model(name))
    except SpecError as error:  # one broken spec must not take the other models' DAGs away
        globals()[f"train__{name}"] = broken_dag(name, error)
