"""What Great Expectations found out, in Tandem's own terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class RowTest:
    """Which rows a check calls bad, as SQL over one file read with row numbers.

    Attributes:
        bad: True for a bad row, never NULL.
        join: A table to join for it, if any. `{offset}` stands for the number of rows in the files before.
    """

    bad: str
    join: str = ""


@dataclass(frozen=True)
class Finding:
    """What Great Expectations said of one expectation.

    `num_bad` and `num_judged` are rows; both are None for a check on the whole table. `reason` says why it broke.
    """

    status: Literal["passed", "failed", "broken"]
    observed: Any = None
    num_bad: int | None = None
    num_judged: int | None = None
    reason: str = ""
    rows: RowTest | None = field(default=None, repr=False)
