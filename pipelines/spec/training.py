"""What is learnt from what, and how long the search for it may take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.spec.base import Column, Section

Task = Literal["binary", "multiclass", "regression"]

METRICS_BY_TASK: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1", "precision", "recall"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr"),
    "regression": ("rmse", "mae", "r2", "median_absolute_error"),
}

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae", "median_absolute_error"})

SEARCH_METRIC_BY_TASK: dict[str, str] = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


class Budget(Section):
    """How long the search may take: wall-clock seconds, or a number of trials, which is the same on every machine."""

    seconds: float | None = Field(None, gt=0, le=7 * 86_400, allow_inf_nan=False, description="Kept within 10 %.")
    trials: int | None = Field(None, ge=1, le=100_000, description="Fits of one configuration on one fold.")

    @model_validator(mode="after")
    def _is_exactly_one(self) -> Budget:
        if (self.seconds is None) == (self.trials is None):
            raise ValueError("give exactly one of 'seconds' and 'trials'")
        return self


class Training(Section):
    """The supervised task and the search for its model."""

    task: Task = Field(description="What kind of answer is learnt.")
    target: Column = Field(description="Column that holds the answer.")
    features: tuple[Column, ...] = Field(min_length=1, description="Columns that the answer is told from.")
    leak_columns: tuple[Column, ...] = Field((), description="Known only after the fact: refused among the features.")
    metric: str | None = Field(None, description="What the search optimises; the task's own where left out.")
    budget: Budget = Field(description="How long the search may take.")
    folds: Literal["shuffled", "time"] = Field("shuffled", description="'time' trains on the past of each fold only.")
    max_fit_seconds: float | None = Field(None, gt=0, description="Bound of one fit; a quarter of the budget else.")
    refine: bool = Field(False, description="Spend what is left of the budget on Optuna around the best.")
    calibrate: bool = Field(True, description="Calibrate probabilities (classification only).")
    workers: int = Field(1, ge=1, le=256, description="Search workers; in Airflow each is a mapped task.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of everything random.")

    @property
    def search_metric(self) -> str:
        """The metric that the search optimises."""
        return self.metric or SEARCH_METRIC_BY_TASK[self.task]
