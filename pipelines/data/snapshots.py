"""Write and read snapshots: a manifest whose hash is the snapshot's id, and the part of it that training may see.

Training is given a view of the store that holds `training.json` and the training files it names, and nothing else, so
held-out rows cannot be read by mistake or on purpose. Every file is compared with its hash before a row of it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.manifests import Manifest, Side, TrainingManifest
from pipelines.data.parquet import ROW_GROUP_ROWS, open_parquet
from pipelines.errors import DataError, IntegrityError
from pipelines.records import SnapshotRef, sha256_of
from pipelines.store import Store
from pipelines.store.scoped import ScopedStore
from pipelines.store.verified import fetch_verified, put_first, read_record


def manifest_key(model: str, snapshot_id: str) -> str:
    """Return the key of the whole manifest."""
    return f"{model}/snapshots/{snapshot_id}/manifest.json"


def training_key(model: str, snapshot_id: str) -> str:
    """Return the key of what training may see."""
    return f"{model}/snapshots/{snapshot_id}/training.json"


def write_snapshot(store: Store, manifest: Manifest) -> SnapshotRef:
    """Store both manifests and return the reference for training.

    The whole one comes last: with it the snapshot exists. Writing the same snapshot again changes nothing.

    Raises `IntegrityError` when the key holds other bytes.
    """
    model, snapshot_id = manifest.training.model, manifest.sha256
    reference = SnapshotRef(
        model=model,
        snapshot_id=snapshot_id,
        training_key=training_key(model, snapshot_id),
        training_sha256=manifest.training.sha256,
        num_rows_train=manifest.training.train.num_rows,
        num_rows_holdout=manifest.holdout.num_rows,
    )
    _put_same(store, reference.training_key, manifest.training.to_bytes())
    _put_same(store, manifest_key(model, snapshot_id), manifest.to_bytes())
    return reference


def read_manifest(store: Store, model: str, snapshot_id: str) -> Manifest:
    """Return a whole manifest. Raises `ObjectMissing`, `IntegrityError`; `HoldoutRefused` from a view for training."""
    return read_record(store, manifest_key(model, snapshot_id), Manifest, snapshot_id)


def read_training_manifest(store: Store, snapshot: SnapshotRef) -> TrainingManifest:
    """Return what training may see of a snapshot. Raises `ObjectMissing`, `IntegrityError`."""
    return read_record(store, snapshot.training_key, TrainingManifest, snapshot.training_sha256)


def training_view(store: Store, snapshot: SnapshotRef) -> ScopedStore:
    """Return a read-only view of the store that holds this snapshot's training manifest and files, and nothing else."""
    side = read_training_manifest(store, snapshot).train
    keys = [partition.key for partition in side.partitions] + [profile.key for profile in side.profiles]
    return ScopedStore(store, [snapshot.training_key, *keys])


def read_training(store: Store, snapshot: SnapshotRef, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the training rows, partitions in order of name and rows in their order within.

    Args:
        store: The store, or a view of it for training.
        snapshot: The snapshot.
        columns: The columns to read, in this order; all where left out.

    Raises:
        ObjectMissing: If a file is gone.
        IntegrityError: If a file is not the one that was written.
    """
    return _read(store, read_training_manifest(store, snapshot).train, columns)


def read_training_batches(
    store: Store, snapshot: SnapshotRef, columns: Sequence[str] | None = None, num_rows: int = ROW_GROUP_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `read_training` in batches of at most `num_rows`, one row group in memory at a time."""
    return _read_batches(store, read_training_manifest(store, snapshot).train, columns, num_rows)


def read_holdout(store: Store, model: str, snapshot_id: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the held-out rows, as `read_training` does. Raises `HoldoutRefused` from a view for training."""
    return _read(store, read_manifest(store, model, snapshot_id).holdout, columns)


def read_holdout_batches(
    store: Store, model: str, snapshot_id: str, columns: Sequence[str] | None = None, num_rows: int = ROW_GROUP_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `read_holdout` in batches of at most `num_rows`, one row group in memory at a time."""
    return _read_batches(store, read_manifest(store, model, snapshot_id).holdout, columns, num_rows)


def _read(store: Store, side: Side, columns: Sequence[str] | None) -> pa.Table:
    tables = []
    for partition in side.partitions:
        with (
            fetch_verified(store, partition.key, partition.content_sha256) as path,
            pq.ParquetFile(path, memory_map=False) as file,
        ):
            names = _names(file.schema_arrow, columns)
            tables.append(file.read(columns=names).select(names).replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _read_batches(store: Store, side: Side, columns: Sequence[str] | None, num_rows: int) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        paths = [stack.enter_context(fetch_verified(store, one.key, one.content_sha256)) for one in side.partitions]
        schemas = [pq.read_schema(path).remove_metadata() for path in paths]
        schema = pa.unify_schemas(schemas, promote_options="permissive")
        names = _names(schema, columns)
        wanted = pa.schema([schema.field(name) for name in names])
        for path in paths:
            with open_parquet(path) as file:
                for batch in file.iter_batches(batch_size=num_rows, columns=names):
                    yield batch.select(names).cast(wanted)


def _names(schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    if missing := [column for column in columns or () if column not in schema.names]:
        raise DataError(f"The snapshot has no column {missing}: it has {schema.names}. Nothing was read.")
    return list(schema.names if columns is None else columns)


def _put_same(store: Store, key: str, data: bytes) -> None:
    found = put_first(store, key, data)
    if found != data:
        raise IntegrityError(
            f"Object {key!r} in {store.root} has SHA-256 {sha256_of(found)}, expected {sha256_of(data)}: it was "
            "altered. It stays as it is; no snapshot was taken."
        )
