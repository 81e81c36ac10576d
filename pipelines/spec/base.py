"""What every section of a file in config/ shares: frozen, and no unknown key."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Section(BaseModel):
    """A frozen part of a spec that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"),
    Field(description="1 to 63 lower-case letters, digits and '_', a letter first"),
]
"""A model's name: it becomes a DAG id, a store key, an MLflow model's name and a file's name."""

Column = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""The name of a column of the model's data."""
