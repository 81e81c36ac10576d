"""Let a version answer the rows of a partition, and keep the answers exactly once for a content and a version.

The answers come first, under the hash of their bytes; the record that names them comes after and only where there is
none. Killed anywhere, what is left is a temporary file, or an object that no record names; of two at work at once the
first record counts, and both return it.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.parquet import ParquetWriter, open_parquet
from pipelines.data.partitions import store_partition
from pipelines.errors import DataError, IntegrityError
from pipelines.records import Partition, ScoredPartition
from pipelines.serving.answering import Answerer
from pipelines.serving.sampling import chosen_rows
from pipelines.store import Store
from pipelines.store.verified import fetch_verified, put_first_record, read_record

LOG = logging.getLogger(__name__)

ROW = "row"
"""The column of a row's number in its partition, from 0 on, which pairs the answers of two versions."""

CANARY_SUFFIX = ".canary.json"
"""How the key of a challenger's answers ends."""

Role = Literal["champion", "canary"]


@dataclass(frozen=True)
class Task:
    """What is asked of one version: `share` of the rows, which only for a canary is not 1."""

    model: str
    version: int
    role: Role
    requested_at: str
    share: float
    key_columns: tuple[str, ...]
    time_column: str | None
    batch_rows: int

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The source's columns that stand beside each answer."""
        return tuple(dict.fromkeys([*self.key_columns, *([self.time_column] if self.time_column else [])]))


def record_key(model: str, partition: Partition, version: int, role: Role) -> str:
    """Return the key of the record of one version's answers to one partition's content."""
    suffix = ".json" if role == "champion" else CANARY_SUFFIX  # a challenger that comes to serve answers all rows then
    return f"{_folder(model, partition)}/v{version}{suffix}"


def find_scored(store: Store, partition: Partition, task: Task) -> ScoredPartition | None:
    """Return what was answered before, or None. Raises `IntegrityError` for a record that is not of these answers."""
    key = record_key(task.model, partition, task.version, task.role)
    return None if store.stat(key) is None else _read(store, key, partition, task)


def score_partition(store: Store, partition: Partition, task: Task, answerer: Answerer) -> ScoredPartition:
    """Answer a partition's rows, a batch in memory at a time, and return the one record of it.

    Raises:
        DataError: If the rows do not fit the model; nothing of the partition is stored then.
        IntegrityError: If the partition is not the one that was ingested.
        StoreError: If the store does not take the answers.
    """
    prefix = _folder(task.model, partition)
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch:
        path = Path(scratch) / "answers.parquet"
        with fetch_verified(store, partition.key, partition.content_sha256) as source:
            _write_answers(source, path, partition, task, answerer)
        answers = store_partition(store, prefix, partition.name, path)
    record = ScoredPartition(
        name=partition.name,
        partition_sha256=partition.content_sha256,
        version=task.version,
        role=task.role,
        key=answers.key,
        content_sha256=answers.content_sha256,
        num_rows=answers.num_rows,
        size_bytes=answers.size_bytes,
        requested_at=task.requested_at,
    )
    key = record_key(task.model, partition, task.version, task.role)
    if put_first_record(store, key, record) != record:
        LOG.info("partition %s was scored by another task meanwhile; its answers count", partition.name)
        return _read(store, key, partition, task)
    return record


def _read(store: Store, key: str, partition: Partition, task: Task) -> ScoredPartition:
    found = read_record(store, key, ScoredPartition)
    answers = f"{_folder(task.model, partition)}/{found.content_sha256}.parquet"
    said = (found.name, found.partition_sha256, found.version, found.role, found.key)
    expected = (partition.name, partition.content_sha256, task.version, task.role, answers)
    if said != expected:
        raise IntegrityError(
            f"Record {key!r} was altered: it says {', '.join(map(str, said))}; expected "
            f"{', '.join(map(str, expected))}. It was not used."
        )
    return found


def _folder(model: str, partition: Partition) -> str:
    return f"{model}/scores/{partition.name}/{partition.content_sha256}"


def _write_answers(source: Path, path: Path, partition: Partition, task: Task, answerer: Answerer) -> None:
    with open_parquet(source) as file:
        kept = _kept_fields(file.schema_arrow, partition, task, answerer)
        schema = pa.schema([*kept, pa.field(ROW, pa.int64()), *answerer.schema])
        columns = list(dict.fromkeys([*task.kept_columns, *answerer.columns]))
        continuous = [field.name for field in answerer.schema if pa.types.is_floating(field.type)]
        batches = _batches(file, columns, task, path.parent)
        # one batch is read while one is answered and one is written: no more than three are held
        with (
            ParquetWriter(path, schema, continuous) as writer,
            ThreadPoolExecutor(1, "reads") as reads,
            ThreadPoolExecutor(1, "writes") as writes,
        ):
            written: Future[None] | None = None
            following = reads.submit(next, batches, None)
            while (batch := following.result()) is not None:
                following = reads.submit(next, batches, None)
                numbers, rows = batch
                try:
                    answers = answerer.answer(rows)
                except DataError as error:
                    raise DataError(_unfit(partition, task, str(error))) from error
                asked = [rows.column(field.name) for field in kept]
                if written is not None:
                    written.result()
                written = writes.submit(writer.write, pa.table([*asked, numbers, *answers.columns], schema))
            if written is not None:
                written.result()


def _kept_fields(found: pa.Schema, partition: Partition, task: Task, answerer: Answerer) -> list[pa.Field]:
    wanted = [*task.kept_columns, *answerer.columns]
    if missing := [name for name in dict.fromkeys(wanted) if name not in found.names]:
        raise DataError(_unfit(partition, task, f"it lacks the columns {', '.join(map(repr, missing))}."))
    if taken := [name for name in task.kept_columns if name in {ROW, *answerer.schema.names}]:
        raise DataError(_unfit(partition, task, f"its key columns {', '.join(map(repr, taken))} are names of answers."))
    return [found.field(name) for name in task.kept_columns]


def _unfit(partition: Partition, task: Task, why: str) -> str:
    return (
        f"Partition {partition.name!r} of {task.model} ({partition.content_sha256[:12]}) cannot be answered by version "
        f"{task.version}: {why} Nothing of it was scored."
    )


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], task: Task, scratch: Path
) -> Iterator[tuple[pa.Array, pa.Table]]:
    """Yield the numbers of rows, and the rows, in their order."""
    start = 0
    for batch in file.iter_batches(batch_size=task.batch_rows, columns=list(columns)):
        rows = pa.Table.from_batches([batch])
        numbers = pa.array(np.arange(start, start + rows.num_rows))
        start += rows.num_rows
        if task.role == "canary":
            keyed = rows if task.key_columns else rows.append_column(ROW, numbers)
            chosen = chosen_rows(keyed, task.key_columns or (ROW,), task.share, scratch)
            rows, numbers = rows.filter(chosen), numbers.filter(chosen)
        yield numbers, rows
