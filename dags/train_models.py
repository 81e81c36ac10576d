"""Build `train__<model>` for every model spec: from new data to a verdict, and where it allows, to a new champion."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG
from tandem_approval import approval
from tandem_dags import OUTAGES_ONLY, model_dags, task_defaults
from tandem_form import fields
from tandem_operators import CorpusOperator, PromoteOperator, StepOperator, ValidateOperator, machine
from tandem_pages import documentation

from pipelines.spec import ClassicSpec, LlmSpec, ModelSpec


def train_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model; the steps are those of `tandem run`."""
    with DAG(
        dag_id=f"train__{spec.name}",
        description=spec.description,
        schedule=spec.schedule.cron,
        max_active_runs=1,
        catchup=False,
        default_args=task_defaults(spec),
        tags=["training", spec.kind, *spec.tags],
        doc_md=documentation(spec),
    ) as dag:
        reconciled = StepOperator(task_id="reconcile")
        # as often as an outage may last: the requests of a retraining wait for the run that cannot say it began
        begun = StepOperator(task_id="begin", asks=True, retries=50, retry_policy=OUTAGES_ONLY).output
        candidate = tuned(spec, begun) if isinstance(spec, LlmSpec) else searched(spec, begun)
        evaluated = StepOperator(task_id="evaluate", records=[candidate], **machine(spec, most_gpus=1))
        judged = StepOperator(task_id="gate", records=[candidate, evaluated.output], retries=0)
        registered = StepOperator(task_id="register", records=[judged.output])
        answer = approval(spec, registered)
        PromoteOperator(task_id="promote", records=[registered.output], begun=begun, answer=answer)
        reconciled >> evaluated
    dag.params.update(fields(spec))  # only now: each task would copy them, which is most of the time of a parse
    return dag


def searched(spec: ClassicSpec, begun: Any) -> Any:
    """Return the candidate of a search over scikit-learn's algorithms, on the data that the run asks for."""
    ingested = StepOperator(task_id="ingest", records=[begun])
    validated = ValidateOperator(task_id="validate", records=[ingested.output])
    taken = StepOperator(task_id="snapshot", records=[validated.output])
    plan = StepOperator(task_id="plan", records=[taken.output, begun]).output
    workers = list(range(spec.training.workers))
    shares = StepOperator.partial(task_id="search", model=spec.name, records=[plan]).expand(worker=workers)
    return StepOperator(task_id="train", records=[plan, shares.output]).output


def tuned(spec: LlmSpec, begun: Any) -> Any:
    """Return the candidate of a fine-tuning on conversations, those that the run asks for."""
    ingested = StepOperator(task_id="ingest", records=[begun])
    prepared = CorpusOperator(task_id="prepare", records=[ingested.output])
    validated = ValidateOperator(task_id="validate", records=[prepared.output])
    taken = StepOperator(task_id="snapshot", records=[validated.output])
    packed = CorpusOperator(task_id="pack", records=[taken.output])
    plan = StepOperator(task_id="plan", records=[packed.output, begun])
    return StepOperator(task_id="train", records=[plan.output], **machine(spec)).output


globals().update(model_dags("train", train_dag))
