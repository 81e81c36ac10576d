"""Take a sample of rows: of the training rows once a snapshot, stored, and of a window's rows each time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.manifests import Side
from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter, open_parquet
from pipelines.records import sha256_of
from pipelines.store import Store
from pipelines.store.verified import fetch_verified, file_sha256, put_same

PARTITION = "tandem.partition"  # column of a reference sample: the name of the partition that a row is from


def reference_sample(
    store: Store, model: str, snapshot_id: str, side: Side, columns: Sequence[str], num_rows: int
) -> pa.Table:
    """Return a sample of a snapshot's training rows, spread over its partitions; it is taken once and then read.

    Its last column, `PARTITION`, names the partition that a row is from.

    It is stored at `<model>/monitoring/reference/<snapshot id>.<what was asked for>.<its own hash>.parquet`. Which rows
    are chosen follows from the partitions' hashes alone, so two that take it at once take the same.

    Args:
        store: Where the snapshot is, and where the sample goes.
        model: The model's name.
        snapshot_id: The snapshot.
        side: Its training side.
        columns: The columns; one that a partition has not is left out.
        num_rows: Rows of the sample; all where there are fewer.

    Raises:
        ObjectMissing: If a partition is gone.
        IntegrityError: If a partition or the sample is not what was written.
    """
    asked = sha256_of([sorted(columns), num_rows])[:16]
    prefix = f"{model}/monitoring/reference/{snapshot_id}.{asked}."
    for info in store.list(prefix):
        with fetch_verified(store, info.key, info.key.removeprefix(prefix).removesuffix(".parquet")) as path:
            return pq.read_table(path, memory_map=False)
    counts = _spread([partition.num_rows for partition in side.partitions], num_rows)
    samples = []
    for partition, count in zip(side.partitions, counts, strict=True):
        if count:
            with fetch_verified(store, partition.key, partition.content_sha256) as path:
                sample = sample_rows(path, columns, count, partition.content_sha256)
            samples.append(sample.append_column(PARTITION, pa.array([partition.name] * sample.num_rows, pa.string())))
    table = pa.concat_tables(samples, promote_options="permissive").combine_chunks()
    _store(store, prefix, table)
    return table


def sample_rows(path: Path, columns: Sequence[str], num_rows: int, seed: str) -> pa.Table:
    """Return up to `num_rows` rows of a Parquet file in their order, chosen by `seed`, in bounded memory.

    Args:
        path: The file.
        columns: The columns; one that the file has not is left out.
        num_rows: Rows of the sample; all where there are fewer.
        seed: Any text that stands for the rows, such as the file's hash.
    """
    with open_parquet(path) as file:
        names = [name for name in dict.fromkeys(columns) if name in file.schema_arrow.names]
        chosen, start, parts = _choose(file.metadata.num_rows, num_rows, seed), 0, []
        for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=names):
            inside = chosen[(chosen >= start) & (chosen < start + len(batch))] - start
            parts.append(batch.take(pa.array(inside)).select(names))
            start += len(batch)
        schema = pa.schema([file.schema_arrow.field(name) for name in names])
    return pa.Table.from_batches(parts, schema).replace_schema_metadata(None).combine_chunks()


def _choose(available: int, wanted: int, seed: str) -> npt.NDArray[np.int64]:
    if wanted >= available:
        return np.arange(available)
    generator = np.random.default_rng(int(sha256_of(seed.encode())[:16], 16))
    return np.sort(generator.choice(available, wanted, replace=False))


def _spread(sizes: Sequence[int], wanted: int) -> list[int]:
    """Return how many rows are taken from each partition: in proportion, the remainders to the largest fractions."""
    total = sum(sizes)
    if wanted >= total:
        return list(sizes)
    counts = [size * wanted // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda place: (-(sizes[place] * wanted % total), place))
    for place in by_remainder[: wanted - sum(counts)]:
        counts[place] += 1
    return counts


def _store(store: Store, prefix: str, table: pa.Table) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / "sample.parquet"
        with ParquetWriter(path, table.schema) as writer:
            writer.write(table)
        put_same(store, f"{prefix}{file_sha256(path)}.parquet", path.read_bytes())
