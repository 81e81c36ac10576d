"""Parquet files as one DuckDB relation, after their schemas have been held against each other and the spec."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.sources.columns import check_columns, check_same_columns
from pipelines.data.sources.locations import SourceFile
from pipelines.data.sources.reading import Reading
from pipelines.data.sql import literal, quoted
from pipelines.data.windows import bounds
from pipelines.errors import DataError
from pipelines.records import Window


def open_relation(connection: duckdb.DuckDBPyConnection, reading: Reading) -> duckdb.DuckDBPyRelation:
    """Return the rows of all files that lie in the window or have no time; row groups outside of it are not read.

    Raises:
        DataError: If a file is no whole Parquet file, or its columns are not the spec's or those of the other files.
        duckdb.Error: If DuckDB cannot read a file.
    """
    schemas = {file.name: _schema(file) for file in reading.files}
    for name, schema in schemas.items():
        check_columns(schema.names, reading.required, name)
    check_same_columns({name: schema.names for name, schema in schemas.items()})
    _check_same_kinds(schemas)
    relation = connection.sql(f"FROM read_parquet({reading.paths}, union_by_name = true)")
    time_column = reading.source.time_column
    if time_column is None:
        return relation
    type_ = next(iter(schemas.values())).field(time_column).type
    conditions = _conditions(time_column, type_, reading.window)
    return relation.filter(conditions) if conditions else relation


def _schema(file: SourceFile) -> pa.Schema:
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.name} is no whole Parquet file: {error} Nothing was ingested.") from error


def _check_same_kinds(schemas: dict[str, pa.Schema]) -> None:
    first_seen: dict[str, tuple[str, str]] = {}
    for name, schema in schemas.items():
        for column in schema:
            kind = _kind(column.type)
            if kind == "null":
                continue
            first_name, first_kind = first_seen.setdefault(column.name, (name, kind))
            if kind != first_kind:
                raise DataError(
                    f"{name}, column {column.name!r}: found {kind} ({column.type}), expected {first_kind} as in "
                    f"{first_name}. Nothing was ingested."
                )


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    if pa.types.is_timestamp(type_):
        return "time without a zone" if type_.tz is None else "time with a zone"
    return str(type_)


def _conditions(column: str, type_: pa.DataType, window: Window) -> str:
    if not pa.types.is_timestamp(type_) and not pa.types.is_date(type_):
        return ""  # text is turned into times, and cut to the window, later
    zoned = pa.types.is_timestamp(type_) and type_.tz is not None
    start, end = bounds(window)
    inside = [
        f"{quoted(column)} {operator} {_literal(bound, zoned)}"
        for operator, bound in ((">=", start), ("<", end))
        if bound
    ]
    return f"({' AND '.join(inside)}) OR {quoted(column)} IS NULL" if inside else ""


def _literal(moment: datetime, zoned: bool) -> str:
    if zoned:
        return f"TIMESTAMPTZ {literal(moment.replace(tzinfo=UTC).isoformat(sep=' '))}"
    return f"TIMESTAMP {literal(moment.isoformat(sep=' '))}"
