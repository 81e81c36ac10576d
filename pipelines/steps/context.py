"""What every step is given besides its record: the spec, the environment and the open store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from typing_extensions import TypeVar

from pipelines.spec import Environment, ModelSpec, load_environment, load_model
from pipelines.store import Store, open_store

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
