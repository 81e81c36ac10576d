"""The operators of Tandem's DAGs: each runs the step that its task id names, with JSON records in and out.

Plain operators and not decorated functions: of these a hundred DAGs are built in half the time, and the records that a
task was given stand in Airflow's page of rendered templates.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator
from tandem_form import requested
from tandem_links import CorpusReportLink, MlflowRunLink, QualityReportLink, remember_report

from pipelines.spec import LlmSpec, ModelSpec


class StepOperator(BaseOperator):
    """Run the step `task_id` of a model.

    Args:
        model: Name of the model spec.
        records: What the steps before it left, in the order of the step's parameters.
        worker: Number of a search worker, for the mapped step `search` only.
        asks: Whether the step wants to know what the trigger form asked for, as its last record.
    """

    template_fields: ClassVar[Sequence[str]] = ("records", "worker")
    template_fields_renderers: ClassVar[dict[str, str]] = {"records": "json"}
    operator_extra_links = (MlflowRunLink(),)
    ui_color = "#e8f0fe"

    def __init__(
        self, *, model: str, records: Any = (), worker: int | None = None, asks: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.records = records
        self.worker = worker
        self.asks = asks

    def execute(self, context: Any) -> Any:
        """Run the step, and return its record as plain JSON."""
        records = [list(record) if isinstance(record, Sequence) else record for record in self.records]
        worker = [] if self.worker is None else [self.worker]
        request = [requested(context)] if self.asks else []
        return self.run(*records, *worker, *request)

    def run(self, *records: Any) -> Any:
        """Run the step on these records."""
        from pipelines.steps.run import run_step  # on the worker: parsing stays fast

        with warnings.catch_warnings():
            # skops looks for the home of each SciPy function in every loaded module; a thousand times one of Airflow's
            # answers that it has no such attribute any more
            warnings.filterwarnings("ignore", message="The `airflow.")
            return run_step(self.task_id, self.model, *records)


class ValidateOperator(StepOperator):
    """Run the step `validate`, and lead to its report also when the data failed."""

    operator_extra_links = (QualityReportLink(),)

    def execute(self, context: Any) -> Any:
        """Run the step; where it fails, keep the key of the report."""
        with remember_report(context["ti"]):
            return super().execute(context)


class CorpusOperator(StepOperator):
    """Run a step that turns rows into what a language model learns from, and lead to its report."""

    operator_extra_links = (CorpusReportLink(),)


class PromoteOperator(StepOperator):
    """Run the step `promote` in the name of the person who approved, else of the one who asked for the run.

    Args:
        begun: What `begin` left.
        answer: What the person answered, where one was asked.
    """

    template_fields: ClassVar[Sequence[str]] = ("records", "begun", "answer")

    def __init__(self, *, begun: Any, answer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.begun = begun
        self.answer = answer

    def execute(self, context: Any) -> Any:
        """Run the step with the name of who answers for it."""
        by = self.answer["responded_by_user"]["name"] if self.answer else self.begun["by"]
        return self.run(*self.records, by)


def machine(spec: ModelSpec, most_gpus: int | None = None) -> dict[str, Any]:
    """Return where a task of a model runs that takes its hardware: pool, queue and executor as Airflow names them.

    One slot of the pool is taken for each GPU that the task uses, so that no two tasks count on the same.

    Args:
        spec: The model's spec; a classic model needs no such place.
        most_gpus: The most GPUs of a node that the task can use; all of them where left out, as a training does.
    """
    if not isinstance(spec, LlmSpec):
        return {}
    hardware = spec.hardware
    wanted = {"pool": hardware.pool_name, "queue": hardware.queue, "executor": hardware.executor}
    gpus = hardware.gpus if most_gpus is None else min(hardware.gpus, most_gpus)
    slots = {"pool_slots": gpus} if hardware.pool_name and gpus else {}
    return {key: value for key, value in wanted.items() if value is not None} | slots
