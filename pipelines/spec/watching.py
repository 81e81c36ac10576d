"""How a model is scored, watched and trained again: what both halves share."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from pipelines.spec.base import Column, Section
from pipelines.spec.fine_tuning import Pretrained
from pipelines.spec.training import Budget

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)


class Scoring(Section):
    """When the champion answers new rows, and on how many workers."""

    cron: str | None = Field(None, description="Cron expression in UTC; without it scoring starts only when asked.")
    window_days: float | None = Field(
        None,
        gt=0,
        description="Rows of this many days, whole partitions; all since the training data where left out.",
    )
    shards: int = Field(1, ge=1, le=256, description="Mapped tasks that the partitions of one run are spread over.")
    batch_rows: int = Field(65_536, ge=1, le=10_000_000, description="Rows held in memory at once.")
    canary_share: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of rows, by their key's hash, that the newest challenger answers too.",
    )


class KOfN(Section):
    """How often something must be seen before it counts."""

    needed: int = Field(2, ge=1, le=100, description="Windows in which it must be seen.")
    windows: int = Field(3, ge=1, le=100, description="Windows that are looked at, the newest included.")

    @model_validator(mode="after")
    def _can_be_reached(self) -> KOfN:
        if self.needed > self.windows:
            raise ValueError(f"'needed' is {self.needed} and 'windows' {self.windows}: it could never be reached")
        return self


class Drift(Section):
    """When a column counts as drifted. Drift warns; it asks for a retraining only where `retraining.reasons` has it."""

    minimum_distance: float = Field(0.08, gt=0, lt=1, description="Kolmogorov-Smirnov or total variation distance.")
    false_discovery_rate: float = Field(0.05, gt=0, lt=1, description="Benjamini-Hochberg over a window's columns.")
    persistence: KOfN = Field(KOfN(), description="Windows in which a column must have drifted.")
    minimum_weight: float = Field(
        0.1, ge=0, le=1, description="Share of the champion's importance that persistent columns must hold together."
    )
    reference: Literal["training", "season"] = Field(
        "season", description="'season' takes the same month or weekday of the training rows where there is enough."
    )
    joint_rows: int = Field(5_000, ge=0, le=100_000, description="Sample for the joint test by a classifier; 0: none.")
    columns: tuple[Column, ...] = Field((), description="Columns that are watched; the features where left out.")
    embedder: Pretrained | None = Field(
        None, description="llm: a local model that says what prompts are about; not looked at where left out."
    )


class Performance(Section):
    """When the champion counts as having become worse than it was on the holdout that it was promoted by."""

    metric: str | None = Field(
        None, description="The metric that decides; the first of the gate's that labels can tell of where left out."
    )
    may_drop_by: float = Field(0.02, ge=0, description="Margin in the metric's own unit.")
    persistence: KOfN = Field(KOfN(), description="Windows in which it must have dropped.")
    minimum_rows: int = Field(500, ge=30, description="Windows with fewer rows say nothing.")


class Anomalies(Section):
    """What is not as it should be, whatever the model answers."""

    volume_factor: float = Field(3.0, gt=1, description="Rows may be this many times fewer or more than is usual.")
    resting_days: tuple[Weekday, ...] = Field(
        (),
        max_length=6,
        description="Days of the week on which no rows are no alarm; only where a partition is a day.",
    )
    most_days_old: float | None = Field(None, gt=0, description="Age of the newest row that is still fresh.")
    null_share_rise: float = Field(0.1, gt=0, le=1, description="Rise of a column's share of nulls.")
    unseen_share: float = Field(0.05, gt=0, le=1, description="Share of rows with a category never seen in training.")
    collapse_share: float = Field(0.2, gt=0, lt=1, description="Spread of predictions, as a share of what it was.")
    most_seconds_per_answer: float | None = Field(None, gt=0, description="llm: 95th percentile of latency.")
    most_tokens_per_answer: float | None = Field(None, gt=0, description="llm: mean tokens, which are what costs.")


class Monitoring(Section):
    """When and how what was scored is compared with what was trained on."""

    cron: str | None = Field(None, description="Cron expression in UTC; without it monitoring follows each scoring.")
    label_delay_days: float = Field(
        0.0, ge=0, description="Days after a row's time until its label is known; a replay holds labels back as long."
    )
    drift: Drift = Field(Drift(), description="When a column counts as drifted.")
    performance: Performance = Field(Performance(), description="When the champion counts as having become worse.")
    anomalies: Anomalies = Field(Anomalies(), description="What raises an alarm.")


class _EventRule(Section):
    reason: Literal["event", "data"] = Field("event", description="What the request gives as its reason.")


class S3Event(_EventRule):
    """S3 event notifications of objects that were made."""

    source: Literal["s3"] = Field(description="S3 event notification.")
    objects: str = Field(min_length=1, description="Glob over bucket/key, such as flights/2013-*.parquet.")


class CloudEvent(_EventRule):
    """CloudEvents 1.0."""

    source: Literal["cloudevents"] = Field(description="CloudEvents 1.0.")
    type: str = Field(min_length=1, description="Glob over the event's type.")
    subject: str = Field("*", min_length=1, description="Glob over the event's subject.")


class AlertmanagerEvent(_EventRule):
    """Alerts that Prometheus' Alertmanager sends."""

    source: Literal["alertmanager"] = Field(description="Alertmanager webhook.")
    alertname: str = Field(min_length=1, description="Glob over the alert's name.")


EventRule = Annotated[S3Event | CloudEvent | AlertmanagerEvent, Field(discriminator="source")]


class Retraining(Section):
    """What is reason enough to train again, and how often that may be."""

    reasons: tuple[Literal["performance", "estimate", "drift"], ...] = Field(
        ("performance",), description="What monitoring finds that asks for a retraining; all else only warns."
    )
    cooldown_days: float = Field(7.0, ge=0, description="Days after the start of a training before the next may begin.")
    weekly_runs: int = Field(3, ge=1, description="Trainings that may begin within 7 days.")
    weekly_gpu_hours: float | None = Field(None, gt=0, description="llm: GPU hours within 7 days, by the planner.")
    minimum_new_rows: int = Field(1000, ge=0, description="Labelled rows since the champion's data.")
    window_days: float | None = Field(None, gt=0, description="Length of its data; all where left out.")
    budget: Budget | None = Field(None, description="classic: budget of its search; that of 'training' where left out.")
    events: tuple[EventRule, ...] = Field((), description="Which events from outside ask for a retraining.")
