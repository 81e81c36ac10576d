"""Open any source as one stream of the rows in a window."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines.data.sources.columns import check_columns
from pipelines.data.sources.files import read_files
from pipelines.data.sources.python import read_python
from pipelines.data.sources.sql import read_sql
from pipelines.data.sources.times import timed
from pipelines.data.sources.window import in_window
from pipelines.data.windows import bounds
from pipelines.errors import UsageError
from pipelines.records import Window
from pipelines.spec.source import FilesSource, PythonSource, Source, SqlSource


def open_source(
    source: Source, window: Window, required: Sequence[str], s3_endpoint_url: str | None = None
) -> pa.RecordBatchReader:
    """Return the source's rows whose time lies in `window` or is null, as a stream that is read once.

    Args:
        source: The section `source` of a model spec.
        window: The span `[start, end)` of the time column; without a zone a bound counts as the column's own time.
        required: The columns that must be there; others come along.
        s3_endpoint_url: For files on S3 other than Amazon's.

    Raises:
        UsageError: If the window or the source's settings cannot be right.
        DataError: Now or while reading, if the data cannot be read or used. It names file, column and value.
    """
    bounds(window)
    if source.time_column is None and source.partition_by != "none":
        raise UsageError(
            f"source.partition_by is {source.partition_by!r}, which needs a source.time_column; allowed without one is "
            "'none'. Nothing was read."
        )
    origin = described_source(source)
    if isinstance(source, FilesSource):
        reader = read_files(source, window, required, s3_endpoint_url)
    elif isinstance(source, SqlSource):
        reader = read_sql(source, window)
    else:
        reader = read_python(source, window)
    named = [] if source.time_column is None else [source.time_column]
    check_columns(reader.schema.names, list(dict.fromkeys([*named, *required])), origin)
    if source.time_column is not None:
        reader = timed(reader, source.time_column, origin)
    return in_window(reader, source.time_column, window, origin)


def described_source(source: Source) -> str:
    """Return the source in a few words, the same for the same settings, and without any secret."""
    if isinstance(source, FilesSource):
        return f"{source.format} files {', '.join(source.paths)}"
    if isinstance(source, PythonSource):
        return f"function {source.callable}"
    return f"query on {source.url_env}"
