"""What every step is given besides its record: the spec, the environment and the open store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Self

from typing_extensions import TypeVar

from pipelines.spec import Environment, ModelSpec, load_environment, load_model
from pipelines.store import Store, open_store
from pipelines.store.nested import NestedStore

Spec = TypeVar("Spec", bound=ModelSpec, default=ModelSpec, covariant=True)


@dataclass(frozen=True)
class Context(Generic[Spec]):
    """The surroundings of one model's steps; a step of one half only asks for that half's spec."""

    spec: Spec
    environment: Environment
    store: Store

    @classmethod
    def open(cls, model: str) -> Context[ModelSpec]:
        """Read the model's spec and the environment, and open the store. Raises `SpecError`, `StoreError`."""
        environment = load_environment()
        return Context(load_model(model), environment, open_store(environment.store))

    def within(self, replay: str | None) -> Self:
        """Return the surroundings in which a replay's reports and decisions lie; these ones where there is no replay.

        They have the same names as the real ones, and none of them may count for the other.
        """
        if replay is None:
            return self
        return replace(self, store=NestedStore(self.store, replay_folder(self.spec.name, replay)))


def replay_folder(model: str, replay: str) -> str:
    """Return the folder of all that belongs to one replay."""
    return f"{model}/replays/{replay}"
