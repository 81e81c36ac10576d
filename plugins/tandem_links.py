"""Buttons on Airflow's task pages that lead to a report and to the MLflow run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import BaseOperatorLink
from tandem_reports import report_path

from pipelines.errors import TandemError
from pipelines.spec import load_environment

REPORT = "report_key"


@contextmanager
def remember_report(task_instance: Any) -> Iterator[None]:
    """Keep the key of the report that a failing step names in its error, so that the button leads there too."""
    try:
        yield
    except TandemError as error:
        task_instance.xcom_push(key=REPORT, value=error.report_key)
        raise


class MlflowRunLink(BaseOperatorLink):
    """Leads to the MLflow run that the step `plan` opened for this DAG run."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the run's address in MLflow's web UI, or nothing when planning has not finished."""
        plan = ti_key.xcom_pull(task_ids="plan")
        if not plan:
            return ""
        from pipelines.registry.runs import run_url  # every step with this button has imported MLflow already

        return run_url(load_environment(), plan["mlflow_run_id"])


class _ReportLink(BaseOperatorLink):
    """Leads to the report of a task's own step, also when the step failed after writing it."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the report's address on Airflow's own web server, or nothing when there is no report."""
        left = ti_key.xcom_pull(task_ids=ti_key.task_id)
        key = left[REPORT] if left else ti_key.xcom_pull(task_ids=ti_key.task_id, key=REPORT)
        airflow = load_environment().airflow
        base = airflow.web_url or f"http://{airflow.host}:{airflow.port}"
        return f"{base.rstrip('/')}{report_path(key)}" if key else ""


class QualityReportLink(_ReportLink):
    """Leads to what `validate` found: every check, and what went to quarantine."""

    name = "Quality report"


class CorpusReportLink(_ReportLink):
    """Leads to what `prepare` or `pack` found in a language model's conversations, and what they took out."""

    name = "Corpus report"
