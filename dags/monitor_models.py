"""Build `monitor__<model>` for every model spec: compare what was scored with the past, and decide on a retraining."""

from __future__ import annotations

from airflow.sdk import DAG
from tandem_dags import model_dags, task_defaults
from tandem_monitoring import DecideOperator, MonitorOperator, RetrainOperator, monitoring_fields
from tandem_windows import scores_asset

from pipelines.spec import ModelSpec


def monitor_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model: after each scoring, or when the spec's cron says so."""
    with DAG(
        dag_id=f"monitor__{spec.name}",
        description=f"Watches {spec.name}, and asks for one retraining where there is reason.",
        schedule=spec.monitoring.cron or [scores_asset(spec.name)],
        max_active_runs=1,
        catchup=False,
        default_args=task_defaults(spec),
        tags=["monitoring", spec.kind, *spec.tags],
        doc_md=__doc__,
    ) as dag:
        monitored = MonitorOperator(task_id="monitor")
        decided = DecideOperator(task_id="decide", records=[monitored.output])
        RetrainOperator(task_id="retrain", decided=decided.output)
    dag.params.update(monitoring_fields())
    return dag


globals().update(model_dags("monitor", monitor_dag))
