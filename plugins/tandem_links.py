"""Buttons on Airflow's task pages that lead to a report and to the MLflow run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import BaseOperatorLink

from pipelines.data.pages.addresses import report_url
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
        return self.address(ti_key, ti_key.task_id)

    def address(self, ti_key: Any, task_id: str) -> str:
        """Return the address of the report that a task of this run left, or nothing."""
        left = ti_key.xcom_pull(task_ids=task_id) or {}
        key = left.get(REPORT) or ti_key.xcom_pull(task_ids=task_id, key=REPORT)
        return report_url(load_environment(), key) if key else ""


class QualityReportLink(_ReportLink):
    """Leads to what `validate` found: every check, and what went to quarantine."""

    name = "Quality report"


class CorpusReportLink(_ReportLink):
    """Leads to what `prepare` or `pack` found in a language model's conversations, and what they took out."""

    name = "Corpus report"


class MonitoringReportLink(_ReportLink):
    """Leads to what `monitor` found, window by window, and from `decide` to the same page with the decision on it."""

    name = "Monitoring report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address of the task's own page, else of the page that `monitor` wrote in the same run."""
        return self.address(ti_key, ti_key.task_id) or self.address(ti_key, "monitor")
