"""Turn the key columns of a row into one text that no machine, engine version or integer width changes.

The side of a key must never change once rows have been trained on, so the text is built from plain parts: whole numbers
in decimal, instants as microseconds since 1970, text as it is, each with its length before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines.data.sql import quoted
from pipelines.errors import DataError

_LARGEST_EXACT_WHOLE = 2**53  # above it a double cannot hold every whole number


def key_text(schema: pa.Schema, columns: Sequence[str]) -> str:
    """Return the DuckDB expression of the canonical text of a row's key.

    Raises:
        DataError: If a key column is missing, or of a type with no one text (nested values, bytes).
    """
    return " || ".join(_part(schema, column) for column in columns)


def without_text(schema: pa.Schema, columns: Sequence[str]) -> str:
    """Return the DuckDB condition of rows whose key has no canonical text: fractions, infinities, NaN."""
    numbers = [quoted(column) for column in columns if _is_fractional(_value_type(schema, column))]
    conditions = [
        f"({name} IS NOT NULL AND NOT (isfinite({name}::DOUBLE) AND {name}::DOUBLE = trunc({name}::DOUBLE) "
        f"AND abs({name}::DOUBLE) <= {_LARGEST_EXACT_WHOLE}))"
        for name in numbers
    ]
    return " OR ".join(conditions) or "false"


def _part(schema: pa.Schema, column: str) -> str:
    kind, name = _value_type(schema, column), quoted(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        text = f"epoch_us({name})::VARCHAR"
    elif _is_fractional(kind):
        text = f"{name}::BIGINT::VARCHAR"
    elif _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        text = f"{name}::VARCHAR"
    elif pa.types.is_null(kind):
        return "'-'"
    else:
        raise DataError(
            f"Key column {column!r} is of type {kind}; a key must be text, whole numbers, booleans, dates or times. "
            "No snapshot was taken."
        )
    return f"CASE WHEN {name} IS NULL THEN '-' ELSE strlen({text}) || ':' || {text} END"


def _value_type(schema: pa.Schema, column: str) -> pa.DataType:
    if column not in schema.names:
        raise DataError(f"Key column {column!r} is not in the data: it has {schema.names}. No snapshot was taken.")
    kind = schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_fractional(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
