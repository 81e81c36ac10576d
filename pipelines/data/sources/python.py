"""Rows from a named Python function."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from pipelines.errors import DataError, TandemError, UsageError
from pipelines.records import Window
from pipelines.spec.source import PythonSource


def read_python(source: PythonSource, window: Window) -> pa.RecordBatchReader:
    """Call the function with the window and the spec's arguments, and return the rows it gives.

    It may give whatever speaks Arrow's stream protocol: a RecordBatchReader, which need not fit in memory, a Table, or
    a data frame.

    Raises:
        UsageError: If there is no such function.
        DataError: If it raises, now or while its rows are read, or gives something else.
    """
    function = _function(source.callable)
    try:
        rows = function(window, **source.arguments)
    except TandemError:
        raise
    except Exception as error:
        raise _failed(source.callable, error) from error
    if not hasattr(rows, "__arrow_c_stream__"):
        raise DataError(
            f"{source.callable} gave a {type(rows).__name__}; expected Arrow record batches, such as a "
            "pyarrow.RecordBatchReader. Nothing was ingested."
        )
    # a detour over C would turn Python's exceptions into text
    reader = rows if isinstance(rows, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(rows)
    return pa.RecordBatchReader.from_batches(reader.schema, _batches(reader, source.callable))


def _batches(reader: pa.RecordBatchReader, name: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except TandemError:
        raise
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> DataError:
    return DataError(f"{name} failed with {type(error).__name__}: {error}. Nothing was ingested.")


def _function(path: str) -> Callable[..., Any]:
    module_name, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"Source callable {path!r} cannot be imported: {error}. Expected 'package.module:function'. Nothing was "
            "read."
        ) from error
    if not callable(function):
        raise UsageError(f"Source callable {path!r} is a {type(function).__name__}, not a function. Nothing was read.")
    return function  # type: ignore[no-any-return]
