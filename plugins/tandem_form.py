"""The trigger form of a training DAG, and what a filled-in form asks of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from pipelines.records import RunRequest, Window
from pipelines.spec import ClassicSpec, ModelSpec
from pipelines.spec.training import Budget


def fields(spec: ModelSpec) -> dict[str, Param]:
    """Return the fields of the form, filled with the spec's values."""
    window = _window(spec) if spec.source.time_column else {}
    budget = _budget(spec.training.budget) if isinstance(spec, ClassicSpec) else {}
    # null too, or the form could not be sent without a note
    kept = {"maxLength": 500, "title": "Note", "description_md": "Why you ask; kept with the run."}
    note = Param(None, type=["null", "string"], **kept)
    return {**window, **budget, "note": note}


def _window(spec: ModelSpec) -> dict[str, Param]:
    date = {"type": ["null", "string"], "format": "date", "section": "Data window"}
    return {
        "data_start": Param(spec.schedule.data_start, title="From", description_md="First day of the data.", **date),
        "data_end": Param(spec.schedule.data_end, title="Until", description_md="First day after the data.", **date),
    }


def _budget(budget: Budget) -> dict[str, Param]:
    return {
        "budget_seconds": Param(
            budget.seconds,
            type=["null", "number"],
            exclusiveMinimum=0,
            section="Search",
            title="Seconds",
            description_md="Wall-clock time that the algorithm selection may take.",
        ),
        "budget_trials": Param(
            budget.trials,
            type=["null", "integer"],
            minimum=1,
            section="Search",
            title="Trials",
            description_md="Used instead of the seconds where given: the same on every machine.",
        ),
    }


def requested(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form or the API call of this run asks for, as a `RunRequest` in plain JSON.

    `as_of` and `replay` are no fields of the form: a replay sends them with its call.
    """
    params, dag_run = context["params"], context["dag_run"]
    trials = params.get("budget_trials")
    request = RunRequest(
        window=Window(start=params.get("data_start"), end=params.get("data_end")),
        budget_seconds=None if trials else params.get("budget_seconds"),
        budget_trials=trials,
        note=params.get("note") or "",
        by=dag_run.triggering_user_name or dag_run.run_type,
        run_id=dag_run.run_id,
        as_of=params.get("as_of"),
        replay=params.get("replay"),
    )
    return request.to_dict()
