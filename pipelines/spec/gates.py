"""The rules a candidate must keep to become champion."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipelines.spec.base import Column, Section


class GateRule(Section):
    """One bound on one metric, on all rows or on each value of a slice column. Bounds are inclusive."""

    metric: str = Field(description="A metric of the task, as it is named in the evaluation.")
    slice: Column | None = Field(None, description="Hold the rule on each value of this column.")
    minimum: float | None = Field(None, allow_inf_nan=False, description="Floor, in the metric's own unit.")
    maximum: float | None = Field(None, allow_inf_nan=False, description="Ceiling, in the metric's own unit.")
    no_worse_than_champion_by: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Margin that the challenger may lose to the champion."
    )
    better_than_base_by: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="llm: what fine-tuning must gain over the pretrained model."
    )
    no_worse_than_base_by: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="llm: what fine-tuning may lose to the pretrained model."
    )

    @property
    def holds_without_champion(self) -> bool:
        """Whether any of its bounds can be judged when no model serves yet."""
        bounds = (self.minimum, self.maximum, self.better_than_base_by, self.no_worse_than_base_by)
        return any(bound is not None for bound in bounds)

    @model_validator(mode="after")
    def _has_a_bound(self) -> GateRule:
        if not self.holds_without_champion and self.no_worse_than_champion_by is None:
            bounds = "'minimum', 'maximum', 'no_worse_than_champion_by', 'better_than_base_by', 'no_worse_than_base_by'"
            raise ValueError(f"give at least one of {bounds}")
        return self


class Gates(Section):
    """All rules, and how much evidence they need."""

    rules: tuple[GateRule, ...] = Field(min_length=1, description="Every rule must hold.")
    minimum_rows: int = Field(200, ge=1, description="Fewer holdout rows give a verdict of hold.")
    minimum_slice_rows: int = Field(100, ge=1, description="A slice with fewer rows is reported and not judged.")
    bootstrap_samples: int = Field(1000, ge=100, le=100_000, description="Resamples behind each interval.")
    slices: tuple[Column, ...] = Field((), description="Columns whose values are evaluated apart.")
