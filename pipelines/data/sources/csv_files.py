"""CSV files as one DuckDB relation, after their headers have been held against each other and the spec."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from pipelines.data.sources.columns import check_columns, check_same_columns
from pipelines.data.sources.locations import SourceFile
from pipelines.data.sources.reading import Reading
from pipelines.data.sql import literal, quoted
from pipelines.errors import DataError

DELIMITERS = ",;\t|"
SAMPLE_ROWS = 20_480  # as many as DuckDB looks at to guess a type


def open_relation(connection: duckdb.DuckDBPyConnection, reading: Reading) -> duckdb.DuckDBPyRelation:
    """Return the rows of all files, their time column as text.

    Raises:
        DataError: If a file has no header or no rows, or its columns are not the spec's or those of the other files.
        duckdb.Error: If DuckDB cannot read a file.
    """
    source = reading.source
    headers = {file.name: _header(file, source.delimiter) for file in reading.files}
    for name, header in headers.items():
        check_columns(
            header, [*reading.required, *source.column_types], name, _delimiter_hint(header, source.delimiter)
        )
    check_same_columns(headers)
    types = dict(source.column_types)
    if source.time_column is not None:
        types[source.time_column] = "VARCHAR"
    relation = _scanned(connection, reading, types)
    numbers = _numbers_taken_for_text(relation, types)
    if numbers:
        relation = _scanned(connection, reading, {**types, **dict.fromkeys(numbers, "DOUBLE")})
    if not relation.limit(1).fetchall():
        names = ", ".join(headers)
        raise DataError(f"{names}: found a header and no rows; expected at least one row. Nothing was ingested.")
    return relation


def _scanned(
    connection: duckdb.DuckDBPyConnection, reading: Reading, types: Mapping[str, str]
) -> duckdb.DuckDBPyRelation:
    source = reading.source
    dialect = f"delim = {literal(source.delimiter)}, quote = '\"', escape = '\"', comment = '', header = true, skip = 0"
    nulls = f"nullstr = [{', '.join(map(literal, source.null_values))}]"
    typed = ", ".join(f"{quoted(column)}: {literal(type_)}" for column, type_ in types.items())
    try:
        return connection.sql(
            f"FROM read_csv({reading.paths}, {dialect}, {nulls}, union_by_name = true, types = {{{typed}}})"
            if typed
            else f"FROM read_csv({reading.paths}, {dialect}, {nulls}, union_by_name = true)"
        )
    except duckdb.InvalidInputException:
        for file in reading.files:  # what cannot be sniffed can still be read as text, up to the line that is wrong
            texts = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column in _header(file, source.delimiter))
            connection.sql(
                f"SELECT count(COLUMNS(*)) FROM read_csv({literal(str(file.path))}, {dialect}, auto_detect = false, "
                f"columns = {{{texts}}})"
            ).fetchall()
        raise


def _numbers_taken_for_text(relation: duckdb.DuckDBPyRelation, types: Mapping[str, str]) -> list[str]:
    """Return the columns that are text to DuckDB only because it does not take `inf` for a number when it guesses."""
    texts = [
        column
        for column, type_ in zip(relation.columns, relation.types, strict=True)
        if str(type_) == "VARCHAR" and column not in types
    ]
    if not texts:
        return []
    counts = ", ".join(f"count({quoted(column)}), count(try_cast({quoted(column)} AS DOUBLE))" for column in texts)
    found = relation.limit(SAMPLE_ROWS).aggregate(counts).fetchall()[0]
    pairs = zip(found[0::2], found[1::2], strict=True)
    return [column for column, (known, numeric) in zip(texts, pairs, strict=True) if known and known == numeric]


def _header(file: SourceFile, delimiter: str) -> list[str]:
    try:
        with pa.input_stream(str(file.path), compression="detect") as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            header = next(csv.reader(text, delimiter=delimiter), None)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file.name} holds the byte 0x{error.object[error.start]:02x}, which is not UTF-8; expected text in "
            "UTF-8. Nothing was ingested."
        ) from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{file.name} has no header that can be read: {error}. Nothing was ingested.") from error
    if not header:
        raise DataError(f"{file.name} has no header in its first line; expected column names. Nothing was ingested.")
    return header


def _delimiter_hint(header: Sequence[str], delimiter: str) -> str:
    if len(header) != 1:
        return ""
    other = max(DELIMITERS, key=header[0].count)
    if other == delimiter or other not in header[0]:
        return ""
    return f" The header looks delimited by {other!r}, but source.delimiter is {delimiter!r}."
