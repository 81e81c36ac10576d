from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.registry import runs
from pipelines.registry.connection import COLLISIONS, written
from pipelines.spec.environment import Environment


class _Collides:
    """A write that somebody else is first at, some number of times, as MLflow tells it."""

    def __init__(
        self, times: int, message: str = "(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key"
    ) -> None:
        self.times, self.message, self.calls = times, message, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise MlflowException(self.message)
        return "written"


def test_a_write_that_somebody_was_first_at_is_made_again() -> None:
    write = _Collides(times=2)
    assert (written(write), write.calls) == ("written", 3)


def test_a_write_that_collides_for_ever_gives_up() -> None:
    write = _Collides(times=100)
    with pytest.raises(MlflowException, match="UNIQUE constraint"):
        written(write)
    assert write.calls == COLLISIONS + 1


def test_a_write_that_fails_otherwise_is_not_made_again() -> None:
    write = _Collides(times=1, message="no such model")
    with pytest.raises(MlflowException, match="no such model"):
        written(write)
    assert write.calls == 1


def test_one_address_gets_one_client(environment: Environment) -> None:
    first = runs.connect(environment)
    assert isinstance(first, MlflowClient)
    assert runs.connect(environment) is first
