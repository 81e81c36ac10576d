"""The tasks of a scoring DAG that know more than a step: what was asked, and who waits for the answers."""

from __future__ import annotations

from typing import Any

from airflow.sdk import AssetAlias
from tandem_operators import StepOperator
from tandem_windows import asked, scores_asset


class ScoreOperator(StepOperator):
    """Run a step of a scoring run on records of the steps before it."""

    operator_extra_links = ()


class AskingOperator(ScoreOperator):
    """Run a step on what this run is asked for."""

    def execute(self, context: Any) -> Any:
        """Run the step."""
        return self.run(asked(context))


class CollectOperator(ScoreOperator):
    """Join what the shards did, and tell who waits for the scores which window and moment they are of.

    A replay tells nobody: it asks for the monitoring of its windows itself.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[AssetAlias(f"{model}_scored")], **kwargs)

    def execute(self, context: Any) -> Any:
        """Run the step; the event says more only where it succeeds."""
        left = super().execute(context)
        _, appointed, _ = self.records
        if not context["params"].get("replay"):
            said = {"window": left["window"], "as_of": appointed["requested_at"], "new": left["new"]}
            context["outlet_events"][AssetAlias(f"{self.model}_scored")].add(scores_asset(self.model), extra=said)
        return left
