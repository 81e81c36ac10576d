"""Read the source and leave its rows in the store as immutable partitions."""

from __future__ import annotations

from pipelines.data.partitions import write_partitions
from pipelines.data.sources import described_source, open_source
from pipelines.records import Ingested, RunRequest, Window
from pipelines.spec import LlmSpec, ModelSpec
from pipelines.spec.source import FilesSource, Source
from pipelines.steps.context import Context


def ingest(context: Context, request: RunRequest) -> Ingested:
    """Write the rows of the window that is asked for to partitions; a bound that is not given comes from the spec.

    Raises:
        UsageError: If the window or the source's settings cannot be right.
        DataError: If the data cannot be read or used, or the window has no rows.
        StoreError: If the store does not take the partitions.
    """
    spec = context.spec
    window = Window(
        start=request.window.start or spec.schedule.data_start, end=request.window.end or spec.schedule.data_end
    )
    reader = open_source(_source(spec), window, list(spec.source_columns), context.environment.store.s3_endpoint_url)
    return write_partitions(
        context.store,
        spec.name,
        reader,
        source=described_source(spec.source),
        time_column=spec.source.time_column,
        by=spec.source.partition_by,
        window=window,
    )


def _source(spec: ModelSpec) -> Source:
    """Return the source as it is read: the chats of JSONL files as JSON text, whatever is in them.

    A type that is guessed from their first lines fits one file and not the next, and where a content is text in one
    line and a list of parts in another, DuckDB would give the text in quotes.
    """
    source = spec.source
    if not (isinstance(spec, LlmSpec) and isinstance(source, FilesSource)):
        return source
    if source.format != "jsonl" or spec.corpus.form != "messages":
        return source
    types = {spec.corpus.messages_column: "VARCHAR", **source.column_types}
    return source.model_copy(update={"column_types": types})
