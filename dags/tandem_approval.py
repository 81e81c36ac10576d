"""The person in the loop: where the spec asks for it, a challenger waits for somebody's yes in Airflow."""

from __future__ import annotations

from typing import Any

from pipelines.spec import ModelSpec


def approval(spec: ModelSpec, registered: Any) -> Any:
    """Return the answer of the person who approved, or None where the spec asks for nobody.

    A no fails the run: the challenger stays registered and the champion stays champion.
    """
    if spec.promotion.approval == "none":
        return None
    from airflow.providers.standard.operators.hitl import ApprovalOperator  # only where it is needed: it parses slowly

    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Promote a new version of {spec.name}?",
        body="The gate says promote. The evidence is behind the links of the tasks `evaluate` and `gate`.",
        fail_on_reject=True,
        retries=0,
    )
    registered >> approve
    return approve.output
