"""Watch a classic champion: its features and predictions for drift, its performance with and without labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.data.profile_store import Reading
from pipelines.data.profiles import Profile
from pipelines.monitoring.anomalies.served import odd_answers
from pipelines.monitoring.column_drift import is_answer, profile_of_predictions, shares_of_importance
from pipelines.records import Anomaly, Evaluation, Monitored, WindowRequest
from pipelines.spec import ClassicSpec
from pipelines.steps.classic.importances import importances
from pipelines.steps.classic.performing import Promoted, perform, read_promoted
from pipelines.steps.context import Context
from pipelines.steps.monitoring import watch
from pipelines.steps.watched import Watched
from pipelines.steps.watching import Champion, Performed


def monitor(context: Context[ClassicSpec], request: WindowRequest) -> Monitored:
    """Store a report of each window that was scored, and a page that shows them beside those before.

    The same answers, labels and champion give the same report: nothing is computed or stored twice.

    Raises:
        MonitoringRefused: If no version serves, or nothing was ever scored.
        UsageError: If the window or the moment cannot be right.
        DataError: If the source cannot be read, or answers or labels lack columns.
        IntegrityError: If anything stored is not what was written.
        StoreError: If the store does not answer.
    """
    return watch(context, request, TableHalf(context))


@dataclass(frozen=True)
class TableHalf:
    """What watching is for models that answer the rows of a table.

    What each champion predicted when it was promoted is read once a look.
    """

    context: Context[ClassicSpec]
    _promoted: dict[str, Promoted | None] = field(default_factory=dict)

    @property
    def columns(self) -> Sequence[str]:
        """Those that the spec names, else the features."""
        return self.context.spec.monitoring.drift.columns or self.context.spec.training.features

    @property
    def settings(self) -> Mapping[str, Any]:
        """The task, the target and the features."""
        return self.context.spec.training.model_dump(mode="json", include={"task", "target", "features"})

    def reading(self, is_prepared: bool) -> Reading | None:
        """Return None: features are columns."""
        return None

    def ignored(self, reference: Profile) -> Collection[str]:
        """Return the target, which comes later."""
        return (self.context.spec.training.target,)

    def weights(self, champion: Champion) -> dict[str, float]:
        """Return each feature's share of the permutation importance on the champion's holdout."""
        costs = {one.column: one.mean for one in importances(self.context, champion.candidate)}
        return shares_of_importance(costs, self.context.spec.training.features)

    def answers(self, scored: Path) -> Profile:
        """Return the profile of the predictions."""
        names = [name for name in pq.read_schema(scored).names if is_answer(name)]
        return profile_of_predictions(pq.read_table(scored, columns=names, memory_map=False))

    def usual_answers(self, champion: Champion) -> Profile | None:
        """Return the profile of the predictions on the champion's holdout."""
        promoted = self._read(champion.evaluation)
        return None if promoted is None else promoted.answers

    def odd_answers(self, answers: Profile, usual: Profile | None) -> list[Anomaly]:
        """Return an alarm for predictions that are no numbers, or that hardly differ."""
        return odd_answers(answers, usual, self.context.spec.monitoring.anomalies)

    def perform(
        self,
        watched: Watched,
        before: Sequence[Watched],
        champion: Champion,
        as_of: datetime,
        scored: Path,
        folder: Path,
    ) -> Performed:
        """Return figures measured on the rows whose labels have come, and estimated on all."""
        evaluation = champion.evaluation
        return perform(self.context, watched, before, evaluation, self._read(evaluation), as_of, scored, folder)

    def _read(self, evaluation: Evaluation) -> Promoted | None:
        if evaluation.sha256 not in self._promoted:
            self._promoted[evaluation.sha256] = read_promoted(self.context, evaluation)
        return self._promoted[evaluation.sha256]
