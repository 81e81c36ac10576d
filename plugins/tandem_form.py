"""The trigger form of a training DAG, and what a filled-in form asks of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from pipelines.records import RunRequest, Window
from pipelines.spec import ModelSpec


def fields(spec: ModelSpec) -> dict[str, Param]:
    """Return the fields of the form, filled with the spec's values."""
    date = {"type": ["null", "string"], "format": "date", "section": "Data window"}
    budget = spec.training.budget
    return {
        "data_start": Param(spec.schedule.data_start, title="From", description_md="First day of the data.", **date),
        "data_end": Param(spec.schedule.data_end, title="Until", description_md="First day after the data.", **date),
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
        "note": Param("", type="string", maxLength=500, title="Note", description_md="Why you ask; kept with the run."),
    }


def requested(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form or the API call of this run asks for, as a `RunRequest` in plain JSON."""
    params, dag_run = context["params"], context["dag_run"]
    trials = params["budget_trials"]
    request = RunRequest(
        window=Window(start=params["data_start"], end=params["data_end"]),
        budget_seconds=None if trials else params["budget_seconds"],
        budget_trials=trials,
        note=params["note"],
        by=dag_run.triggering_user_name or dag_run.run_type,
    )
    return request.to_dict()


def documentation(spec: ModelSpec) -> str:
    """Return the DAG's page in Markdown: what the model is for, what it learns from, and what it must reach."""
    rules = "\n".join(
        f"- `{rule.metric}`{f' on each {rule.slice}' if rule.slice else ''}: "
        + ", ".join(f"{bound} {value:g}" for bound, value in _bounds(rule))
        for rule in spec.gates.rules
    )
    return (
        f"### {spec.name}\n\n{spec.description}\n\n"
        f"**Learns** `{spec.training.target}` ({spec.training.task}) from {len(spec.training.features)} features, "
        f"optimising `{spec.training.search_metric}`.\n\n"
        f"**Checks** {len(spec.quality.expectations)} expectations; at most "
        f"{spec.quality.max_quarantined_share:.1%} of the rows may go to quarantine.\n\n"
        f"**Becomes champion** when every rule holds on the holdout:\n\n{rules}\n\n"
        f"All of it stands in `config/models/{spec.name}.yaml`."
    )


def _bounds(rule: Any) -> list[tuple[str, float]]:
    named = [
        ("at least", rule.minimum),
        ("at most", rule.maximum),
        ("no worse than the champion by", rule.no_worse_than_champion_by),
    ]
    return [(words, value) for words, value in named if value is not None]
