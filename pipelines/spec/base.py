"""What every section of a file in config/ shares: frozen, and no unknown key."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Section(BaseModel):
    """A frozen part of a spec that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A model's name: it becomes a DAG id, a store key, an MLflow model's name and a file's name."""

Column = Annotated[str, StringConstraints(min_length=1, max_length=255)]
