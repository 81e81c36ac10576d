"""The records of a search: what was planned, what each trial gave, and what the search ended with.

Together they are the search's schedule. Fits depend on rows, configuration and seed, and on the number of iterations
where the clock ended them; all of it is here, so that any machine can do the same again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pipelines.classic.search.configuration import Configuration
from pipelines.records import Record
from pipelines.spec.training import Task


class TrialKey(NamedTuple):
    """One configuration on one fold."""

    configuration: str
    fold: int

    def __str__(self) -> str:
        """Return the trial's name, fit for a store key."""
        return f"{self.configuration}-{self.fold}"


class SearchDetail(Record):
    """The search as planned: everything that is fixed before the first fit."""

    version: int = 1
    task: Task
    metric: str
    target: str
    features: tuple[str, ...]
    time_column: str | None
    by_time: bool
    seed: int
    configurations: tuple[Configuration, ...]
    num_rows: int
    num_search_rows: int
    num_folds: int
    num_classes: int
    budget_seconds: float | None
    budget_trials: int | None
    max_fit_seconds: float
    calibrate: bool
    refine: bool
    notes: tuple[str, ...]


class TrialResult(Record):
    """What came of one configuration on one fold.

    `status`: done; cut_off, when its process was stopped at the bound; failed, when it raised. `iterations` were run,
    `kept_iterations` of them are best, and `stopped` says that the clock and not the data ended them.
    """

    configuration: Configuration
    fold: int
    status: Literal["done", "cut_off", "failed"]
    loss: float | None
    seconds: float
    iterations: int | None = None
    kept_iterations: int | None = None
    stopped: bool = False
    reason: str = ""
    warnings: tuple[str, ...] = ()
    worker: int = 0
    predictions_sha256: str | None = None

    @property
    def key(self) -> TrialKey:
        """Which trial this is."""
        return TrialKey(self.configuration.name, self.fold)


class CalibrationRecord(Record):
    """A calibrator as numbers."""

    slope: float
    intercept: float


class Member(Record):
    """One model of the ensemble, fitted to all rows; `stopped` says that the clock ended its iterations."""

    configuration: Configuration
    weight: float
    iterations: int | None
    stopped: bool
    seconds: float
    calibration: CalibrationRecord | None


class LeftOut(Record):
    """A configuration that selection wanted and the clock did not allow."""

    configuration: str
    reason: str


class Schedule(Record):
    """The whole search, from which it can be replayed.

    `cut_off` names the trials that the clock ended, by stopping the process or the iterations. `predictions_sha256` is
    the hash of the model's answers on training rows, `refit_rows_sha256` that of the places of the rows its members
    were fitted to.
    """

    model: str
    snapshot_id: str
    detail: SearchDetail
    trials: tuple[TrialResult, ...]
    cut_off: tuple[str, ...]
    folds_judged: tuple[int, ...]
    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...]
    num_refit_rows: int
    refit_rows_sha256: str
    calibration: CalibrationRecord | None
    cv_score: float
    predictions_sha256: str
    libraries: dict[str, str]
    seconds: float

    @property
    def algorithm(self) -> str:
        """The ensemble as people read it, such as `0.62 x hist_gradient_boosting + 0.38 x linear`."""
        if len(self.members) == 1:
            return self.members[0].configuration.name
        return " + ".join(f"{member.weight:.2f} x {member.configuration.name}" for member in self.members)
