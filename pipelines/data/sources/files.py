"""Rows from CSV, Parquet or JSONL files, read by DuckDB in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import duckdb
import pyarrow as pa

from pipelines.data.sources import csv_files, jsonl_files, parquet_files
from pipelines.data.sources.duck import BATCH_ROWS, connect
from pipelines.data.sources.locations import SourceFile, located
from pipelines.data.sources.reading import Reading
from pipelines.data.sources.refusals import refused
from pipelines.errors import DataError
from pipelines.records import Window
from pipelines.spec.source import FilesSource

_FORMATS = {"csv": csv_files, "jsonl": jsonl_files, "parquet": parquet_files}


def read_files(
    source: FilesSource, window: Window, required: Sequence[str], s3_endpoint_url: str | None = None
) -> pa.RecordBatchReader:
    """Return the rows of all files, file by file in order of their names.

    Every file must have the same columns, in any order. The type of a CSV or JSONL column that `column_types` leaves
    out is guessed from the first rows of every file; their time column comes as text, so that its zones can be checked.

    Raises:
        DataError: Now or while reading, if a file cannot be read or used. It names the file, and where they are known
            line, column and value.
        UsageError: If `column_types` names a type that DuckDB does not know.
    """
    format_ = _FORMATS[source.format]
    with ExitStack() as stack:
        files = stack.enter_context(located(source.paths, s3_endpoint_url))
        for file in files:
            if file.path.stat().st_size == 0:
                raise DataError(f"{file.name} is empty (0 bytes); expected {source.format} data. Nothing was ingested.")
        connection = stack.enter_context(connect())
        try:
            relation = format_.open_relation(connection, Reading(files, source, window, required))
            reader = relation.to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise refused(error, files) from error
        held = stack.pop_all()
    return pa.RecordBatchReader.from_batches(reader.schema, _batches(reader, files, held))


def _batches(reader: pa.RecordBatchReader, files: Sequence[SourceFile], held: ExitStack) -> Iterator[pa.RecordBatch]:
    with held:
        try:
            yield from reader
        except (duckdb.Error, pa.ArrowException, OSError) as error:  # Arrow hands on DuckDB's errors as OSError
            raise refused(error, files) from error
