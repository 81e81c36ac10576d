"""What a monitoring run is asked for, and the task that starts the training that it decided on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException
from tandem_links import MonitoringReportLink
from tandem_operators import StepOperator
from tandem_windows import asked, moment_fields


def monitoring_fields() -> dict[str, Param]:
    """Return the fields of the form."""
    date = {"type": ["null", "string"], "format": "date", "section": "Windows"}
    return {
        "data_start": Param(None, title="From", description_md="The newest windows where left out.", **date),
        "data_end": Param(None, title="Until", description_md="First day after the windows.", **date),
        **moment_fields(),
    }


class MonitorOperator(StepOperator):
    """Run the step `monitor` on the windows that the run asks for, and lead to its report."""

    operator_extra_links = (MonitoringReportLink(),)

    def execute(self, context: Any) -> Any:
        """Run the step."""
        return self.run(asked(context))


class DecideOperator(StepOperator):
    """Run the step `decide`, and lead to the report that shows the decision."""

    operator_extra_links = (MonitoringReportLink(),)


class RetrainOperator(TriggerDagRunOperator):
    """Start the training that was decided on; skipped where there is none, or where Airflow has its run already.

    The run's id follows from the request's identity, so that the second of two equal requests makes no run. One that
    has failed before its first step was done is queued again: all that was asked since waits for it.
    """

    template_fields: ClassVar[Sequence[str]] = ("decided",)
    ui_color = "#e8f0fe"

    def __init__(self, *, model: str, decided: Any, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"train__{model}", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.decided = decided

    def execute(self, context: Any) -> Any:
        """Ask Airflow for the run, to begin when it may."""
        if self.decided["run_id"] is None:
            raise AirflowSkipException(f"No retraining: {'; '.join(self.decided['reasons'])}.")
        self.trigger_run_id = self.decided["run_id"]
        self.reset_dag_run = self._failed_before_it_began(context["ti"])
        run_after = self.decided["run_after"]
        self.run_after = datetime.fromisoformat(run_after) if run_after else None
        self.note = "; ".join(self.decided["reasons"])[:1000]  # as many as Airflow keeps
        if self.decided["replay"]:
            self.conf = {"replay": self.decided["replay"], "as_of": self.decided["as_of"]}
        return super().execute(context)

    def _failed_before_it_began(self, task_instance: Any) -> bool:
        run_id, model = self.decided["run_id"], self.decided["model"]
        if not task_instance.get_dr_count(self.trigger_dag_id, run_ids=[run_id], states=["failed"]):
            return False
        from pipelines.registry.decisions import is_pending  # on the worker: parsing stays fast
        from pipelines.steps.context import Context

        return is_pending(Context.open(model).within(self.decided["replay"]).store, model, run_id)
