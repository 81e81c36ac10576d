"""The task that waits for a person where a spec asks for one before a challenger becomes champion."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from pipelines.spec import ModelSpec


def approval(spec: ModelSpec, registered: BaseOperator) -> Any:
    """Return the answer of the person who approves, or None where the spec asks for nobody.

    A no fails the run: the challenger stays registered, and the champion stays champion.
    """
    if spec.promotion.approval == "none":
        return None
    from airflow.providers.standard.operators.hitl import ApprovalOperator  # it parses slowly: only where it is used

    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Promote a new version of {spec.name}?",
        body="The gate says promote. The evidence is behind the links of the tasks `evaluate` and `gate`.",
        fail_on_reject=True,
        retries=0,
    )
    registered >> approve
    return approve.output
