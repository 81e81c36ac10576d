"""Every error that Tandem raises on purpose.

    TandemError
    ├── UsageError              exit 2: the caller or a file of theirs asks for something impossible
    │   └── SpecError           one or many problems in a YAML file, each with file, line, key, found, allowed
    ├── Refused                 exit 1: a rule said no; nothing is broken
    │   ├── QualityFailed       data is over its quarantine budget, or a check failed
    │   ├── GateFailed          the verdict is reject or hold; the champion stays
    │   ├── PromotionRefused    the verdict does not fit what is to be promoted, or somebody else was first
    │   ├── RollbackRefused     the version asked for never served, or already serves
    │   ├── TrainingDiverged    the loss is no number, has exploded, or does not start where the pretrained model stands
    │   ├── HoldoutRefused      training code asked for rows that are kept from it
    │   ├── ScoringRefused      no version serves, so that nobody can answer
    │   └── MonitoringRefused   no version serves, or nothing was ever scored
    └── Fault                   exit 3: something outside is broken; a retry may help
        ├── DataError           the source's data cannot be read or used at all
        │   └── NoRows          the source has no rows in the window that is asked for
        ├── CheckBroken         a quality check crashed: neither good data nor bad data is shown
        ├── TrainingError       no configuration could be fitted, or a training process ended before its work was done
        ├── IntegrityError      stored bytes are not the bytes that were written
        ├── RegistryError       MLflow does not answer, or answers nonsense
        ├── ServiceError        a local service (Airflow, MLflow) does not start or does not answer
        └── StoreError          the store cannot do what was asked
            ├── ObjectMissing   no object has this key
            ├── ObjectExists    put-if-absent lost: the key is taken
            └── ObjectChanged   compare-and-swap lost: the object is not what the caller last saw

A message says what happened, the value found, the bound, and what happens now.
"""

from __future__ import annotations

from dataclasses import dataclass


class TandemError(Exception):
    """The root; `exit_code` is what the command `tandem` ends with.

    `report_key` names a stored page that shows the whole story, where a step has written one before it failed.
    """

    exit_code = 3
    report_key: str | None = None


class UsageError(TandemError):
    """The caller asks for something impossible."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one file, so that a reader can go straight to it."""

    file: str
    line: int | None
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: found {self.found}; allowed: {self.allowed}"


class SpecError(UsageError):
    """One or many problems in a YAML file; all are reported at once."""

    def __init__(self, problems: list[Problem], outcome: str = "nothing was run") -> None:
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{len(problems)} {noun}; {outcome}:\n{lines}")


class Refused(TandemError):
    """A rule said no."""

    exit_code = 1


class QualityFailed(Refused):
    """Data is over its quarantine budget, or a check on the whole table failed."""


class GateFailed(Refused):
    """The verdict is reject or hold."""


class PromotionRefused(Refused):
    """The verdict does not fit what is to be promoted, or somebody else was first."""


class RollbackRefused(Refused):
    """The version asked for never served, or already serves."""


class TrainingDiverged(Refused):
    """The loss is no number, has exploded, or does not start where the pretrained model stands; again it would too."""


class HoldoutRefused(Refused):
    """Training code asked for rows that are kept from it."""


class MonitoringRefused(Refused):
    """No version serves, or nothing was ever scored."""


class ScoringRefused(Refused):
    """No version serves, so that nobody can answer."""


class Fault(TandemError):
    """Something outside is broken."""


class DataError(Fault):
    """The source's data cannot be read or used at all."""


class NoRows(DataError):
    """The source has no rows in the window that is asked for."""


class CheckBroken(Fault):
    """A quality check crashed."""


class TrainingError(Fault):
    """No configuration could be fitted, or a training process ended before its work was done."""


class IntegrityError(Fault):
    """Stored bytes are not the bytes that were written."""


class RegistryError(Fault):
    """MLflow does not answer, or answers nonsense."""


class ServiceError(Fault):
    """A local service does not start or does not answer."""


class StoreError(Fault):
    """The store cannot do what was asked."""


class ObjectMissing(StoreError):
    """No object has this key."""


class ObjectExists(StoreError):
    """Put-if-absent lost."""


class ObjectChanged(StoreError):
    """Compare-and-swap lost."""
