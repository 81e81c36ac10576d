"""What the form of a rollback asks for, and the tasks that go back once however often they are tried again."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param
from tandem_operators import StepOperator


def rollback_fields() -> dict[str, Param]:
    """Return the fields of the form; one without a reason cannot be sent."""
    version = {"type": ["null", "integer"], "minimum": 1, "title": "Version"}
    said = "The version that shall serve again; the one that served before the present one where left out."
    # no default: Airflow's form then asks for a text, and its API refuses a run without one
    reason = {"type": "string", "minLength": 1, "maxLength": 500, "pattern": r"\S", "title": "Reason"}
    return {
        "to": Param(None, description_md=said, **version),
        "reason": Param(description_md="Why you go back; kept in the ledger with your name.", **reason),
    }


class FindChampionOperator(StepOperator):
    """Say which version served when the run was asked for; a task that is tried again says the same."""

    operator_extra_links = ()

    def execute(self, context: Any) -> Any:
        """Run the step."""
        return self.run(context["dag_run"].run_after.isoformat())


class RollBackOperator(StepOperator):
    """Go back from the version that was found, in the name of the person who asked."""

    operator_extra_links = ()

    def execute(self, context: Any) -> Any:
        """Run the step."""
        params, dag_run, (found,) = context["params"], context["dag_run"], self.records
        by = dag_run.triggering_user_name or dag_run.run_type
        return self.run(params["to"] or "previous", params["reason"], by, found["version"])
