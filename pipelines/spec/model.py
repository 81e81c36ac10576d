"""The model spec: all that one file in config/models says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.records import sha256_of
from pipelines.spec.base import Name, Section
from pipelines.spec.gates import Gates
from pipelines.spec.quality import Quality
from pipelines.spec.source import Holdout, Source
from pipelines.spec.training import Training


class Schedule(Section):
    """When training runs by itself, and on which data."""

    cron: str | None = Field(None, description="Cron expression in UTC; without it training starts only when asked.")
    data_start: str | None = Field(None, description="Start of the data window, ISO 8601, inclusive.")
    data_end: str | None = Field(None, description="End of the data window, ISO 8601, exclusive.")


class Promotion(Section):
    """How a challenger becomes champion."""

    approval: Literal["none", "human"] = Field("none", description="'human' waits for a person in Airflow.")


class ModelSpec(Section):
    """One model, from data to production."""

    kind: Literal["classic"] = Field(description="Which half of Tandem trains it.")
    name: Name = Field(description="The file's own name: 1 to 63 lower-case letters, digits and '_', a letter first.")
    description: str = Field(min_length=1, description="What the model tells; shown in Airflow and MLflow.")
    owner: str = Field("airflow", min_length=1, description="Who answers for it; shown in Airflow.")
    tags: tuple[str, ...] = Field((), description="Words to find its DAG by.")
    schedule: Schedule = Field(Schedule(), description="When training runs by itself, and on which data.")
    source: Source = Field(description="Where the data comes from.")
    quality: Quality = Field(Quality(), description="What good data is.")
    holdout: Holdout = Field(description="Which rows no training ever sees.")
    training: Training = Field(description="What is learnt from what.")
    gates: Gates = Field(description="The rules a candidate must keep to become champion.")
    promotion: Promotion = Field(Promotion(), description="How a challenger becomes champion.")

    @property
    def sha256(self) -> str:
        """The hash of the whole spec, as it stands after defaults are filled in."""
        return sha256_of(self.model_dump(mode="json"))

    @property
    def rules_sha256(self) -> str:
        """The hash of the gate's rules alone."""
        return sha256_of(self.gates.model_dump(mode="json"))
