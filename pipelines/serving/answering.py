"""What answers rows, whichever half of Tandem it is from, and how one that is not whole is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.records import Appointee


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


@contextmanager
def whole(model: str, appointee: Appointee) -> Iterator[None]:
    """Say of anything that is gone or altered which version it belongs to, and what can be done.

    Raises:
        IntegrityError: In place of `ObjectMissing` and `IntegrityError` of what is read within.
    """
    try:
        yield
    except (ObjectMissing, IntegrityError) as error:
        raise IntegrityError(
            f"{model}: version {appointee.version} is not whole: {error} Nothing was scored by it; put the object "
            "back, or roll back to a whole version."
        ) from error
