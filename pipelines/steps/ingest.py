"""Read the source and leave its rows in the store as immutable partitions."""

from __future__ import annotations

import logging

from pipelines.data.partitions import write_partitions
from pipelines.data.sources import described_source, open_source
from pipelines.errors import NoRows
from pipelines.records import Ingested, RunRequest, Window, WindowRequest
from pipelines.serving.windows import scored_window
from pipelines.spec import LlmSpec, ModelSpec
from pipelines.spec.source import FilesSource, Source
from pipelines.steps.context import Context

LOG = logging.getLogger(__name__)


def ingest(context: Context, request: RunRequest | WindowRequest) -> Ingested:
    """Write the rows of the window that is asked for to partitions.

    To train, a bound that is not given comes from the spec, the labels must be there, and a window without rows is an
    error. To score, a bound that is not given is open, but for the spec's `window_days`; the labels may come later, and
    a window may be empty.

    Raises:
        UsageError: If the window or the source's settings cannot be right.
        DataError: If the data cannot be read or used, or the window to train on has no rows.
        StoreError: If the store does not take the partitions.
    """
    if isinstance(request, RunRequest):
        schedule, window = context.spec.schedule, request.window
        window = Window(start=window.start or schedule.data_start, end=window.end or schedule.data_end)
        return _ingested(context, window, list(context.spec.source_columns))
    window = scored_window(context.spec, request)
    try:
        return _ingested(context, window, list(context.spec.answered_columns))
    except NoRows as error:
        LOG.warning("%s", error)
        source = described_source(context.spec.source)
        return Ingested(
            model=context.spec.name,
            window=window,
            source=source,
            partitions=(),
            new=(),
            changed=(),
            num_rows=0,
        )


def _ingested(context: Context, window: Window, required: list[str]) -> Ingested:
    spec = context.spec
    reader = open_source(_source(spec), window, required, context.environment.store.s3_endpoint_url)
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
