"""Watch a language model: what it is asked and what it answers, for drift, cost, latency and safety."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.data.profiles import Profile
from pipelines.data.profiling import profile_parquet
from pipelines.llm.embedding import TextEmbedder
from pipelines.monitoring.anomalies.served import dear_answers
from pipelines.records import Anomaly, Monitored, WindowRequest
from pipelines.serving.asked import AskedReading
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.performing import perform, settings_of
from pipelines.steps.monitoring import watch
from pipelines.steps.watched import Watched
from pipelines.steps.watching import Champion, Performed


def monitor(context: Context[LlmSpec], request: WindowRequest) -> Monitored:
    """Store a report of each window that was scored, and a page that shows them beside those before.

    Raises:
        MonitoringRefused: If no version serves, or nothing was ever scored.
        UsageError: If the window or the moment cannot be right.
        DataError: If the source cannot be read.
        IntegrityError: If anything stored is not what was written.
        StoreError: If the store does not answer.
    """
    return watch(context, request, ChatHalf(context))


@dataclass(frozen=True)
class ChatHalf:
    """What watching is for models that answer prompts. How good one was, reference answers say later."""

    context: Context[LlmSpec]

    @property
    def columns(self) -> Sequence[str]:
        """Those that the spec names, else all."""
        return self.context.spec.monitoring.drift.columns

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the figures hang on; how rows are read is in `reading`."""
        return settings_of(self.context.spec)

    def reading(self, is_prepared: bool) -> AskedReading:
        """Return how what is asked is read from rows; a model says what it is about where the spec names one."""
        return AskedReading(self.context.spec.corpus, is_prepared, self._embedder)

    @cached_property
    def _embedder(self) -> TextEmbedder | None:
        embedder = self.context.spec.monitoring.drift.embedder
        return None if embedder is None else TextEmbedder.open(embedder, self.context.environment.home)

    def ignored(self, reference: Profile) -> Collection[str]:
        """Return what preparing a corpus has added to the training rows: new rows have what they are answered by."""
        return {column.name for column in reference.columns} - set(self.context.spec.answered_columns)

    def weights(self, champion: Champion) -> dict[str, float]:
        """Return all for what is asked: it is what answers are made from."""
        return {self.context.spec.corpus.columns[0]: 1.0}

    def answers(self, scored: Path) -> Profile:
        """Return the profile of answers, tokens, seconds and safety flags."""
        return profile_parquet(scored)

    def usual_answers(self, champion: Champion) -> Profile | None:
        """Return None: at its promotion the champion answered other prompts, chosen for the gate."""
        return None

    def odd_answers(self, answers: Profile, usual: Profile | None) -> list[Anomaly]:
        """Return an alarm for answers that are slow, dear, toxic, or hold personal data."""
        return dear_answers(answers, self.context.spec.monitoring.anomalies)

    def perform(
        self,
        watched: Watched,
        before: Sequence[Watched],
        champion: Champion,
        as_of: datetime,
        scored: Path,
        folder: Path,
    ) -> Performed:
        """Return figures measured on the rows whose reference answers have come."""
        return perform(self.context, watched, champion, as_of, scored, folder)
