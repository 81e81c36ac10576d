"""What answers rows, whichever half of Tandem it is from, and how one that is not whole is named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa

from pipelines.records import Appointee
from pipelines.registry.champion import whole_version


class Answerer(Protocol):
    """A loaded version."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that it reads; the target is never among them."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The columns of its answers."""
        ...

    def answer(self, rows: pa.Table) -> pa.Table:
        """Return one answer a row, in the order of the rows. Raises `DataError` for rows that it cannot read."""
        ...


def whole(model: str, appointee: Appointee) -> AbstractContextManager[None]:
    """Say of anything that is gone or altered which version it belongs to; see `whole_version`."""
    return whole_version(f"{model}: version {appointee.version}", "Nothing was scored by it")
