"""Build `train__<model>` for every model spec: from new data to a verdict, and where it allows, to a new champion."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule
from tandem_approval import approval
from tandem_form import fields
from tandem_operators import CorpusOperator, PromoteOperator, StepOperator, ValidateOperator, machine
from tandem_pages import documentation

from pipelines.errors import Refused, SpecError, UsageError
from pipelines.spec import ClassicSpec, LlmSpec, ModelSpec, load_model, model_names

# a verdict and a wrong spec stay what they are, however often they are asked for: only faults are tried again
FAULTS_ONLY = ExceptionRetryPolicy(rules=[RetryRule(exception=[Refused, UsageError], action=RetryAction.FAIL)])
RETRIES = {"retries": 2, "retry_policy": FAULTS_ONLY}


def train_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model; the steps are those of `tandem run`."""
    with DAG(
        dag_id=f"train__{spec.name}",
        description=spec.description,
        schedule=spec.schedule.cron,
        max_active_runs=1,
        catchup=False,
        default_args={"owner": spec.owner, "model": spec.name, **RETRIES},
        tags=["training", spec.kind, *spec.tags],
        doc_md=documentation(spec),
    ) as dag:
        reconciled = StepOperator(task_id="reconcile")
        ingested = StepOperator(task_id="ingest", asks=True).output
        candidate = tuned(spec, ingested) if isinstance(spec, LlmSpec) else searched(spec, ingested)
        evaluated = StepOperator(task_id="evaluate", records=[candidate], **machine(spec))
        judged = StepOperator(task_id="gate", records=[candidate, evaluated.output], retries=0)
        registered = StepOperator(task_id="register", records=[judged.output])
        PromoteOperator(task_id="promote", records=[registered.output], answer=approval(spec, registered))
        reconciled >> evaluated
    dag.params.update(fields(spec))  # only now: each task would copy them, which is most of the time of a parse
    return dag


def searched(spec: ClassicSpec, ingested: Any) -> Any:
    """Return the candidate of a search over scikit-learn's algorithms, made of what was ingested."""
    validated = ValidateOperator(task_id="validate", records=[ingested])
    taken = StepOperator(task_id="snapshot", records=[validated.output])
    plan = StepOperator(task_id="plan", records=[taken.output], asks=True).output
    workers = list(range(spec.training.workers))
    shares = StepOperator.partial(task_id="search", model=spec.name, records=[plan]).expand(worker=workers)
    return StepOperator(task_id="train", records=[plan, shares.output]).output


def tuned(spec: LlmSpec, ingested: Any) -> Any:
    """Return the candidate of a fine-tuning on conversations, made of what was ingested."""
    prepared = CorpusOperator(task_id="prepare", records=[ingested])
    validated = ValidateOperator(task_id="validate", records=[prepared.output])
    taken = StepOperator(task_id="snapshot", records=[validated.output])
    packed = CorpusOperator(task_id="pack", records=[taken.output])
    plan = StepOperator(task_id="plan", records=[packed.output], asks=True)
    return StepOperator(task_id="train", records=[plan.output], **machine(spec)).output


def broken_dag(name: str, error: SpecError) -> DAG:
    """Return a DAG that stands in for a model whose spec has problems: it shows them, and fails with them."""
    shown = f"```\n{error}\n```"
    with DAG(dag_id=f"train__{name}", schedule=None, tags=["training", "broken spec"], doc_md=shown) as dag:
        StepOperator(task_id="reconcile", model=name)
    return dag


for name in model_names():
    try:
        globals()[f"train__{name}"] = train_dag(load_model(name))
    except SpecError as error:  # one broken spec must not take the other models' DAGs away
        globals()[f"train__{name}"] = broken_dag(name, error)
