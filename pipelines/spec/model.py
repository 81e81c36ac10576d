"""The model spec: all that one file in config/models says, for either half of Tandem."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.records import sha256_of
from pipelines.spec.base import Column, Name, Section
from pipelines.spec.corpus import GROUP_COLUMN, Corpus
from pipelines.spec.fine_tuning import LLM_METRICS, LLM_SERVED_METRICS, Ability, FineTuning, Pretrained
from pipelines.spec.gates import Gates
from pipelines.spec.hardware import Hardware
from pipelines.spec.quality import Quality
from pipelines.spec.source import Holdout, Source
from pipelines.spec.training import METRICS_BY_TASK, Training
from pipelines.spec.watching import Monitoring, Retraining, Scoring


class Schedule(Section):
    """When training runs by itself, and on which data."""

    cron: str | None = Field(None, description="Cron expression in UTC; without it training starts only when asked.")
    data_start: str | None = Field(None, description="Start of the data window, ISO 8601, inclusive.")
    data_end: str | None = Field(None, description="End of the data window, ISO 8601, exclusive.")


class Promotion(Section):
    """How a challenger becomes champion."""

    approval: Literal["none", "human"] = Field("none", description="'human' waits for a person in Airflow.")


class ModelSpec(Section):
    """One model, from data to production: what both halves share."""

    kind: str = Field(description="Which half of Tandem trains it: classic or llm.")
    name: Name = Field(description="The file's own name: 1 to 63 lower-case letters, digits and '_', a letter first.")
    description: str = Field(min_length=1, description="What the model tells; shown in Airflow and MLflow.")
    owner: str = Field("airflow", min_length=1, description="Who answers for it; shown in Airflow.")
    tags: tuple[str, ...] = Field((), description="Words to find its DAG by.")
    schedule: Schedule = Field(Schedule(), description="When training runs by itself, and on which data.")
    source: Source = Field(description="Where the data comes from.")
    quality: Quality = Field(Quality(), description="What good data is.")
    holdout: Holdout = Field(description="Which rows no training ever sees.")
    gates: Gates = Field(description="The rules a candidate must keep to become champion.")
    promotion: Promotion = Field(Promotion(), description="How a challenger becomes champion.")
    scoring: Scoring = Field(Scoring(), description="When the champion answers new rows.")
    monitoring: Monitoring = Field(Monitoring(), description="How what was scored is watched.")
    retraining: Retraining = Field(Retraining(), description="What is reason enough to train again.")

    @property
    def sha256(self) -> str:
        """The hash of the whole spec, as it stands after defaults are filled in."""
        return sha256_of(self.model_dump(mode="json"))

    @property
    def rules_sha256(self) -> str:
        """The hash of the gate's rules alone."""
        return sha256_of(self.gates.model_dump(mode="json"))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What an evaluation of this model measures, and so what its gates may bound."""
        raise NotImplementedError

    @property
    def served_metrics(self) -> tuple[str, ...]:
        """Those that can be measured of a champion in service, once labels have come; the first where none is named."""
        return self.metrics

    @property
    def source_columns(self) -> tuple[Column, ...]:
        """The columns without which the source's rows can be neither trained on nor judged, each once."""
        raise NotImplementedError

    @property
    def answered_columns(self) -> tuple[Column, ...]:
        """The columns without which a version cannot answer a row: all but what it is to answer."""
        raise NotImplementedError

    @property
    def holdout_key_columns(self) -> tuple[Column, ...]:
        """The columns whose hash decides, where the holdout is by key."""
        return self.source.key_columns

    def may_be_judged_on(self, num_rows: int, num_held_out: int) -> bool:
        """Tell whether an evaluation on `num_rows` of the `num_held_out` rows is on as many as the spec asks for."""
        return num_rows == num_held_out

    def _time_and_keys(self) -> list[Column]:
        return [*([self.source.time_column] if self.source.time_column else []), *self.source.key_columns]


class ClassicSpec(ModelSpec):
    """A model that scikit-learn learns from the columns of a table."""

    kind: Literal["classic"] = Field(description="Which half of Tandem trains it.")
    training: Training = Field(description="What is learnt from what.")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the task."""
        return METRICS_BY_TASK[self.training.task]

    @property
    def source_columns(self) -> tuple[Column, ...]:
        """Time, keys, target and features."""
        return tuple(dict.fromkeys([*self._time_and_keys(), self.training.target, *self.training.features]))

    @property
    def answered_columns(self) -> tuple[Column, ...]:
        """Time, keys and features."""
        return tuple(dict.fromkeys([*self._time_and_keys(), *self.training.features]))


class LlmSpec(ModelSpec):
    """A language model that DeepSpeed fine-tunes on conversations."""

    kind: Literal["llm"] = Field(description="Which half of Tandem trains it.")
    corpus: Corpus = Field(Corpus(), description="How rows become conversations, and what is taken out of them.")
    pretrained: Pretrained = Field(description="The model that is fine-tuned.")
    training: FineTuning = Field(FineTuning(), description="How it is fine-tuned.")
    hardware: Hardware = Field(Hardware(), description="What it is fine-tuned on.")
    ability: Ability = Field(Ability(), description="What is measured besides the holdout.")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of every language model."""
        return tuple(LLM_METRICS)

    @property
    def served_metrics(self) -> tuple[str, ...]:
        """Those of answers; what suites tell, no row in service does."""
        return LLM_SERVED_METRICS

    @property
    def source_columns(self) -> tuple[Column, ...]:
        """Time, keys, and the columns that make a conversation."""
        return tuple(dict.fromkeys([*self._time_and_keys(), *self.corpus.columns]))

    @property
    def answered_columns(self) -> tuple[Column, ...]:
        """Time, keys, and the column of what is asked."""
        return tuple(dict.fromkeys([*self._time_and_keys(), self.corpus.columns[0]]))

    @property
    def holdout_key_columns(self) -> tuple[Column, ...]:
        """The group of near-duplicates that a conversation belongs to: it never crosses into the holdout."""
        return (GROUP_COLUMN,)

    def may_be_judged_on(self, num_rows: int, num_held_out: int) -> bool:
        """Tell whether an evaluation is on the chosen items: fewer only where conversations are the same."""
        return 0 < num_rows <= min(self.ability.holdout_items, num_held_out)


KINDS: dict[str, type[ModelSpec]] = {"classic": ClassicSpec, "llm": LlmSpec}
"""The spec of each kind."""
