"""Hold the Parquet files of a run as one table, in DuckDB, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.sql import literal, quoted
from pipelines.errors import DataError

MEMORY_LIMIT = "640MB"  # of DuckDB's own buffers; what does not fit goes to the folder for temporary files

Kind = Literal["integer", "float", "decimal", "boolean", "string", "timestamp", "timestamptz", "date", "other"]

NUMERIC: frozenset[Kind] = frozenset({"integer", "float", "decimal"})


@dataclass(frozen=True)
class Rows:
    """Rows of several Parquet files of one schema, in the order of the files.

    `connection` may make cursors for other threads; `paths` are local.
    """

    connection: duckdb.DuckDBPyConnection
    paths: tuple[Path, ...]
    schema: pa.Schema

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What each column holds, as far as checks care."""
        return {field.name: _kind(field.type) for field in self.schema}

    @cached_property
    def num_rows_by_path(self) -> tuple[int, ...]:
        """Number of rows in each file."""
        return tuple(pq.read_metadata(path).num_rows for path in self.paths)

    @property
    def num_rows(self) -> int:
        """Number of rows in all files."""
        return sum(self.num_rows_by_path)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Number of rows in the files before each file."""
        return (0, *itertools.accumulate(self.num_rows_by_path[:-1]))

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement to its end and return its rows. Raises `duckdb.Error`."""
        found: list[tuple[Any, ...]] = self.connection.execute(sql, list(parameters)).fetchall()
        return found

    def source(self, number: int | None = None, row_numbers: bool = False) -> str:
        """Return the SQL table function that reads one file, or all; `file_row_number` counts in each file from 0."""
        names = ", ".join(literal(str(path)) for path in (self.paths if number is None else [self.paths[number]]))
        return f"read_parquet([{names}], file_row_number = {str(row_numbers).lower()})"

    def value(self, column: str) -> str:
        """Return a column as SQL, with NaN as NULL: to a check both are missing, as they are to pandas."""
        name = quoted(column)
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END" if self.kinds[column] == "float" else name

    def number(self, column: str) -> str:
        """Return a column of numbers as SQL that compares with floats: a DECIMAL as a DOUBLE."""
        return f"{quoted(column)}::DOUBLE" if self.kinds[column] == "decimal" else self.value(column)

    def scalars(self, expressions: Sequence[str]) -> list[Any]:
        """Return the values of aggregate expressions over all rows, computed in one pass.

        Raises:
            duckdb.Error: If one of them cannot be computed.
        """
        if not expressions:
            return []
        table = self.connection.sql(f"SELECT {', '.join(expressions)} FROM {self.source()}").to_arrow_table()
        return [column[0].as_py() for column in table.columns]


@contextmanager
def open_rows(files: Mapping[str, Path], folder: Path) -> Iterator[Rows]:
    """Open Parquet files as one table for the length of a `with`.

    Args:
        files: Local files by the name of their partition, at least one, in order.
        folder: A folder for what does not fit into memory.

    Raises:
        DataError: If a file is no Parquet, or has other columns than the first.
    """
    schemas = {name: _schema(name, path) for name, path in files.items()}
    first = next(iter(schemas))
    for name, schema in schemas.items():
        if schema != schemas[first]:
            raise DataError(
                f"Partition {name} has other columns than {first}: {_difference(schemas[first], schema)}. "
                "Nothing was checked, nothing was trained."
            )
    settings = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(folder),
        "autoinstall_known_extensions": "false",  # never from the network
    }
    with duckdb.connect(config=settings) as connection:
        rows = Rows(connection, tuple(files.values()), schemas[first])
        rows.run("SET enable_progress_bar = false")
        yield rows


def _schema(name: str, path: Path) -> pa.Schema:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"Partition {name} is no readable Parquet file: {error}. Nothing was checked.") from error
    twice = sorted({column for column in schema.names if schema.names.count(column) > 1})
    if twice:
        raise DataError(f"Partition {name} has more than one column named {', '.join(twice)}. Nothing was checked.")
    return pa.schema([pa.field(field.name, field.type) for field in schema])  # NOT NULL is no part of a type here


def _difference(first: pa.Schema, other: pa.Schema) -> str:
    missing = [f"{field.name} is missing" for field in first if field.name not in other.names]
    added = [f"{field.name} is new" for field in other if field.name not in first.names]
    changed = [
        f"{field.name} is {other.field(field.name).type} and not {field.type}"
        for field in first
        if field.name in other.names and other.field(field.name).type != field.type
    ]
    return "; ".join(missing + added + changed) or "the same ones in another order"


def _kind(kind: pa.DataType) -> Kind:
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    tests: dict[Kind, bool] = {
        "integer": pa.types.is_integer(kind),
        "float": pa.types.is_float32(kind) or pa.types.is_float64(kind),
        "decimal": pa.types.is_decimal(kind),
        "boolean": pa.types.is_boolean(kind),
        "string": pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind),
        "date": pa.types.is_date32(kind),
    }
    return next((name for name, holds in tests.items() if holds), "other")
