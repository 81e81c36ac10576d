"""Read the source and leave its rows in the store as immutable partitions."""

from __future__ import annotations

from pipelines.data.partitions import write_partitions
from pipelines.data.sources import described_source, open_source
from pipelines.records import Ingested, RunRequest, Window
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
    reader = open_source(spec.source, window, list(spec.source_columns), context.environment.store.s3_endpoint_url)
    return write_partitions(
        context.store,
        spec.name,
        reader,
        source=described_source(spec.source),
        time_column=spec.source.time_column,
        by=spec.source.partition_by,
        window=window,
    )
