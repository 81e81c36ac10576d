"""Give the rows of a window that was scored the labels that have come since, whatever a label is in either half.

A window's partition gets a new content whenever the source says something else of its rows. Each of its contents is one
delivery of labels: late, in parts, corrected, the newest wins (`pipelines.monitoring.labels`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.parquet import ParquetWriter
from pipelines.errors import DataError
from pipelines.monitoring.labels import Delivery, Labelled, join_labels
from pipelines.steps.context import Context
from pipelines.steps.watched import Watched, content_of
from pipelines.store.verified import fetch_verified

LabelsIn = Callable[[Path, Path], Path | None]
"""Returns the file with a content's labels, one row a row, given the content and where a file may be written; None
where it can have none."""


def join_window(
    context: Context,
    watched: Watched,
    scored: Path,
    as_of: datetime,
    folder: Path,
    target: str,
    labels_in: LabelsIn,
    about: str | None = None,
) -> Labelled:
    """Return the labelled rows of a window, and what became of all its labels.

    Args:
        context: The model's surroundings.
        watched: The window.
        scored: The answers to it.
        as_of: Labels that came later are not looked at: those of rows younger than the spec's `label_delay_days`.
        folder: Takes temporary files.
        target: The column of the labels.
        labels_in: Finds the labels in one content of the window's partition.
        about: A column of answers and labels that says what was asked; see `join_labels`.

    Raises:
        DataError: If answers or labels lack a key column, or labels the target or the time column.
        IntegrityError: If a content is not what was written.
        ObjectMissing: If one is gone.
    """
    spec, store = context.spec, context.store
    with ExitStack() as stack:
        deliveries: list[Delivery] = []
        for sha256 in watched.contents():
            part = content_of(store, spec.name, watched.name, sha256)
            path = stack.enter_context(fetch_verified(store, part.key, sha256))
            labels = labels_in(path, folder / f"{sha256}.labels.parquet")
            if labels is not None:
                deliveries.append([_known_by(context, labels, target, as_of, folder / f"{sha256}.known.parquet")])
        return join_labels(scored, deliveries, spec.source.key_columns, target, folder, about)


def _known_by(context: Context, path: Path, target: str, as_of: datetime, kept: Path) -> Path:
    """Return a file of the same rows with the labels that were known at a moment: the same one where all were.

    Every row stays, for without a key a row is known by its place.
    """
    column, delay = context.spec.source.time_column, context.spec.monitoring.label_delay_days
    if column is None:
        return path
    names = pq.read_schema(path).names
    if missing := [name for name in (column, target) if name not in names]:
        raise DataError(
            f"A delivery of labels lacks the columns {missing}: there are {names[:30]}. Without them nobody can say "
            "which labels were known when; nothing was joined."
        )
    moment = as_of.astimezone(UTC) - timedelta(days=delay)
    times = pq.read_table(path, columns=[column], memory_map=False).column(column)
    aware = pa.types.is_timestamp(times.type) and times.type.tz is not None
    bound = pa.scalar(moment if aware else moment.replace(tzinfo=None), pa.timestamp("us", "UTC" if aware else None))
    late = pc.greater(times.cast(pa.timestamp("us", "UTC" if aware else None), safe=False), bound)
    if not pc.any(late).as_py():
        return path
    rows = pq.read_table(path, memory_map=False)
    labels = rows.column(target)
    known = pc.if_else(pc.fill_null(late, False), pa.scalar(None, labels.type), labels)
    place = rows.column_names.index(target)
    rows = rows.set_column(place, rows.schema.field(place).with_nullable(True), known)
    with ParquetWriter(kept, rows.schema) as writer:
        writer.write(rows)
    return kept
