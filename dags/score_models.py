"""Build `score__<model>` for every model spec: the champion answers new rows, each partition once."""

from __future__ import annotations

from airflow.sdk import DAG
from tandem_dags import model_dags, task_defaults
from tandem_operators import machine
from tandem_scoring import AskingOperator, CollectOperator, ScoreOperator
from tandem_windows import partitions_asset, window_fields

from pipelines.spec import ModelSpec

MOST_RUNS = 2  # with one alone Airflow may leave the newest event of an asset lying; two do the same work once


def score_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model: by the spec's cron, or where it has none, when new partitions are announced."""
    with DAG(
        dag_id=f"score__{spec.name}",
        description=f"Lets the champion of {spec.name} answer new rows.",
        schedule=spec.scoring.cron or [partitions_asset(spec.name)],
        max_active_runs=MOST_RUNS,
        catchup=False,
        default_args=task_defaults(spec),
        tags=["scoring", spec.kind, *spec.tags],
        doc_md=documentation(spec),
    ) as dag:
        appointed = AskingOperator(task_id="appoint").output
        ingested = AskingOperator(task_id="ingest").output
        shards = (
            ScoreOperator.partial(
                task_id="score", model=spec.name, records=[ingested, appointed], **machine(spec, most_gpus=1)
            )
            .expand(worker=list(range(spec.scoring.shards)))
            .output
        )
        CollectOperator(task_id="collect", records=[ingested, appointed, shards])
    dag.params.update(window_fields(spec))  # only now: each task would copy them, which is most of the time of a parse
    return dag


def documentation(spec: ModelSpec) -> str:
    """Return what the DAG's page says."""
    beside = f" The newest challenger answers {spec.scoring.canary_share:.0%} of the rows beside it."
    return (
        f"Lets the champion of **{spec.name}** answer each partition of new rows once, in "
        f"{spec.scoring.shards} task(s) at a time.{beside if spec.scoring.canary_share else ''}\n\n"
        f"The answers lie in the store under `{spec.name}/scores/`. Announce new rows by an event of the asset "
        f"`tandem://{spec.name}/partitions`, or ask for a window by the form."
    )


globals().update(model_dags("score", score_dag))
