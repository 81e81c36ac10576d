"""Keep a model's partitions in the store: immutable content named by its hash, and which content is current.

Content comes first and becomes current after, one partition at a time. A run that is killed leaves whole partitions or
nothing, and the next run with the same rows ends as if it had been the only one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.cutting import cut
from pipelines.data.parquet import ParquetWriter, open_parquet
from pipelines.data.periods import period_name
from pipelines.data.windows import bounds
from pipelines.errors import ObjectChanged, ObjectExists, StoreError
from pipelines.records import Ingested, Partition, PartitionChange, Record, Window, sha256_of
from pipelines.spec.source import PartitionBy
from pipelines.store import Store
from pipelines.store.verified import fetch_verified, file_sha256, read_record, upload_once

ATTEMPTS = 10

Stage = Literal["partitions", "prepared", "clean", "quarantine"]
"""How far rows have come: as the source gave them, made ready for a language model, found good, found bad."""


class CurrentPartition(Record):
    """Which content of a partition is current.

    `history` holds the hashes of the contents before it, oldest first; `ingest` tells which ingest made it current, so
    that the same ingest, when it is tried again, still knows what it found.
    """

    partition: Partition
    history: tuple[str, ...]
    ingest: str


def write_partitions(
    store: Store,
    model: str,
    reader: pa.RecordBatchReader,
    *,
    source: str,
    time_column: str | None,
    by: PartitionBy,
    window: Window,
) -> Ingested:
    """Cut the rows of `reader` into partitions, store those that are not there yet, and make them current.

    Rows whose time is null make a partition of their own, `undated`, so that whoever checks the data sees them. The
    same rows in the same order make the same bytes and no second object, also after an update of the Parquet writer.
    `new` and `changed` are told against what was current before these contents were: an ingest that is run again gives
    what it gave the first time.

    Args:
        store: Takes `<model>/partitions/<name>/<sha256>.parquet` and `<model>/partitions/<name>/current.json`.
        model: The model's name.
        reader: The rows in `window`, in any order of time.
        source: What they came from, for people.
        time_column: A date or timestamp column; not needed where `by` is 'none'.
        by: Length of a partition.
        window: The span that the rows were cut to.

    Raises:
        DataError: Whatever the reader raises.
        IntegrityError: If a stored partition or its record was altered.
        StoreError: If the store or the scratch folder does not take the partitions.
    """
    span = bounds(window)
    with tempfile.TemporaryDirectory(prefix="tandem-ingest-") as scratch:
        try:
            periods = cut(reader, Path(scratch), time_column, by)
        except OSError as error:
            raise StoreError(
                f"The scratch folder {scratch} cannot take the rows: {error}. Nothing was ingested; set TMPDIR to a "
                "folder with room for the compressed rows."
            ) from error
        files = {period_name(number, by, span): period.path for number, period in periods.items()}
        partitions = tuple(_ingested(store, model, name, files[name]) for name in sorted(files))
    ingest = sha256_of([model, window.to_dict(), source, [partition.to_dict() for partition in partitions]])
    replaced = {partition.name: _make_current(store, model, partition, ingest) for partition in partitions}
    return Ingested(
        model=model,
        window=window,
        source=source,
        partitions=partitions,
        new=tuple(name for name, before in replaced.items() if before == ""),
        changed=tuple(
            PartitionChange(name=partition.name, before_sha256=before, after_sha256=partition.content_sha256)
            for partition in partitions
            if (before := replaced[partition.name])
        ),
        num_rows=sum(partition.num_rows for partition in partitions),
    )


def content_folder(model: str, stage: Stage, name: str) -> str:
    """Return the folder of a partition's contents.

    >>> content_folder("flight_delay", "clean", "2013-01")
    'flight_delay/clean/2013-01'
    """
    return f"{model}/{stage}/{name}"


def content_key(model: str, stage: Stage, name: str, sha256: str) -> str:
    """Return the key of one content of a partition."""
    return _content_key(content_folder(model, stage, name), sha256)


def store_partition(store: Store, prefix: str, name: str, path: Path) -> Partition:
    """Put a Parquet file at `<prefix>/<its sha256>.parquet`, once, and return it as a partition.

    It does not become the current content of anything: that is for what is ingested, by `write_partitions`.

    Args:
        store: Where it goes.
        prefix: The folder of the partition's contents; see `content_folder`.
        name: The partition's name, such as `2013-01`.
        path: The local file, which stays.

    Raises:
        StoreError: If the store does not take it.
    """
    partition = _describe(prefix, name, path)
    upload_once(store, partition.key, path)
    return partition


def read_current(store: Store, model: str, name: str) -> CurrentPartition | None:
    """Return which content of a partition is current, or None where there is none. Raises `IntegrityError`."""
    key = _current_key(model, name)
    return read_record(store, key, CurrentPartition) if store.stat(key) else None


def _describe(prefix: str, name: str, path: Path) -> Partition:
    sha256 = file_sha256(path)
    return Partition(
        name=name,
        key=_content_key(prefix, sha256),
        content_sha256=sha256,
        num_rows=pq.read_metadata(path).num_rows,
        size_bytes=path.stat().st_size,
    )


def _ingested(store: Store, model: str, name: str, path: Path) -> Partition:
    """Return the partition that holds the rows of `path`, after it is in the store."""
    partition = _describe(content_folder(model, "partitions", name), name, path)
    if store.stat(partition.key) is not None:
        return partition
    current = read_current(store, model, name)
    before = None if current is None else current.partition
    if before is not None and store.stat(before.key) and _has_the_same_rows(store, before, partition, path.parent):
        return before
    store.upload(partition.key, path)
    return partition


def _has_the_same_rows(store: Store, before: Partition, after: Partition, scratch: Path) -> bool:
    """Tell whether the rows that are stored give the new bytes when they are written by today's writer."""
    if before.num_rows != after.num_rows:
        return False
    again = scratch / "again.parquet"
    with (
        fetch_verified(store, before.key, before.content_sha256) as path,
        open_parquet(path) as file,
        ParquetWriter(again, file.schema_arrow) as writer,
    ):
        for batch in file.iter_batches():
            writer.write(batch)
    return file_sha256(again) == after.content_sha256


def _make_current(store: Store, model: str, partition: Partition, ingest: str) -> str | None:
    """Make the content current and return the hash it replaces: '' for a new partition, None where it was current."""
    key = _current_key(model, partition.name)
    for _ in range(ATTEMPTS):
        info = store.stat(key)
        if info is None:
            first = CurrentPartition(partition=partition, history=(), ingest=ingest)
            try:
                store.put_if_absent(key, first.to_bytes())
            except ObjectExists:
                continue  # another ingest was faster: look at what it found
            return ""
        current = read_record(store, key, CurrentPartition)
        if current.partition == partition:
            replaced = current.history[-1] if current.history else ""
            return replaced if current.ingest == ingest else None
        history = (*current.history, current.partition.content_sha256)
        try:
            store.compare_and_swap(
                key, CurrentPartition(partition=partition, history=history, ingest=ingest).to_bytes(), info.tag
            )
        except ObjectChanged:
            continue
        return current.partition.content_sha256
    raise StoreError(
        f"Partition {partition.name!r} of {model} was changed by others {ATTEMPTS} times while it was ingested. Its "
        f"content is stored as {partition.key}, but is not current; run the ingest again."
    )


def _current_key(model: str, name: str) -> str:
    return f"{content_folder(model, 'partitions', name)}/current.json"


def _content_key(folder: str, sha256: str) -> str:
    return f"{folder}/{sha256}.parquet"
