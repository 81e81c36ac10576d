"""The types that partitions are kept in."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import DataError


def storable(schema: pa.Schema) -> pa.Schema:
    """Return `schema` in the types that partitions are kept in, so that two ways to read the same rows agree.

    Text is string, categories are their values, timestamps are in microseconds and in UTC where they have a zone, a
    column of nothing but nulls is text, and every column may be null.

    Raises:
        DataError: If Parquet has no type for a column.
    """
    plain = pa.schema([pa.field(column.name, _plain(column.type)) for column in schema])
    for column in plain:
        try:
            pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([column])).close()
        except pa.ArrowNotImplementedError as error:
            raise DataError(
                f"Column {column.name!r} has type {column.type}, which Parquet cannot hold; expected numbers, text, "
                "times or lists of them. Nothing was ingested."
            ) from error
    return plain


def _plain(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_) or pa.types.is_null(type_):
        return pa.string()
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", tz="UTC" if type_.tz else None)
    if pa.types.is_date(type_):
        return pa.date32()
    return type_
