"""Write names and values into SQL."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any


def quoted(name: str) -> str:
    """Return an identifier as SQL.

    >>> print(quoted('a "b" c'))
    "a ""b"" c"
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(value: Any) -> str:
    """Return a value as SQL of the same type.

    Raises:
        TypeError: If SQL has no such value.

    >>> literal("it's"), literal(1.5), literal(datetime.date(2013, 1, 2))
    ("'it''s'", "'1.5'::DOUBLE", "DATE '2013-01-02'")
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) < 2**63:
        return str(value)
    if isinstance(value, float) and not math.isnan(value):
        return f"'{value!r}'::DOUBLE"
    if isinstance(value, str) and "\0" not in value:
        escaped = value.replace("'", "''")
        return f"'{escaped}'"
    if isinstance(value, datetime.datetime):
        kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
        return f"{kind} '{value.isoformat(sep=' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    raise TypeError(f"{value!r} of type {type(value).__name__} has no literal in SQL")


def membership(expression: str, values: Sequence[Any]) -> str:
    """Return SQL that tells whether an expression is one of `values`, of which there may be none."""
    return f"{expression} IN ({', '.join(literal(value) for value in values)})" if values else "false"
