"""What every step is given besides its record: the spec, the environment and the open store."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.spec import Environment, ModelSpec, load_environment, load_model
from pipelines.store import Store, open_store


@dataclass(frozen=True)
class Context:
    """The surroundings of one model's steps."""

    spec: ModelSpec
    environment: Environment
    store: Store

    @classmethod
    def open(cls, model: str) -> Context:
        """Read the model's spec and the environment, and open the store. Raises `SpecError`, `StoreError`."""
        environment = load_environment()
        return cls(load_model(model), environment, open_store(environment.store))
