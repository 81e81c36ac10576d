"""JSONL files (one JSON object a line) as one DuckDB relation."""

from __future__ import annotations

import duckdb

from pipelines.data.sources.columns import check_columns
from pipelines.data.sources.reading import Reading
from pipelines.data.sql import literal, quoted
from pipelines.errors import DataError

_FORMAT = "format = 'newline_delimited'"


def open_relation(connection: duckdb.DuckDBPyConnection, reading: Reading) -> duckdb.DuckDBPyRelation:
    """Return the rows of all files, their time column as text.

    The columns are the keys in the first 20,480 lines of each file; a key that is first seen later is left out.

    Raises:
        DataError: If a file lacks a column of the spec, or a column holds values of several types.
        duckdb.Error: If DuckDB cannot read a file.
    """
    source = reading.source
    for file in reading.files:
        sniffed = connection.sql(f"FROM read_json({literal(str(file.path))}, {_FORMAT})")
        check_columns(sniffed.columns, [*reading.required, *source.column_types], file.name)
    sniffed = connection.sql(f"FROM read_json({reading.paths}, {_FORMAT}, union_by_name = true)")
    types = {column: str(type_) for column, type_ in zip(sniffed.columns, sniffed.types, strict=True)}
    types |= source.column_types
    if source.time_column is not None:
        types[source.time_column] = "VARCHAR"
    mixed = [column for column in reading.required if types[column] == "JSON"]
    if mixed:
        names = ", ".join(file.name for file in reading.files)
        raise DataError(
            f"{names}: {', '.join(map(repr, mixed))} holds values of several types; expected one, or a type in "
            "source.column_types. Nothing was ingested."
        )
    columns = ", ".join(f"{quoted(column)}: {literal(type_)}" for column, type_ in types.items())
    return connection.sql(f"FROM read_json({reading.paths}, {_FORMAT}, columns = {{{columns}}})")
