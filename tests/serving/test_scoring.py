from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.records import Partition, sha256_of
from pipelines.serving.scoring import Task, score_partition
from pipelines.store.files import FileStore

GROUP_ROWS = 100_000


class _Half:
    """Answers one half to everything, and keeps what Arrow held at most while it was asked."""

    columns = ("x",)
    schema = pa.schema([("prediction", pa.float64())])

    def __init__(self) -> None:
        self.most_bytes = 0

    def answer(self, rows: pa.Table) -> pa.Table:
        self.most_bytes = max(self.most_bytes, pa.total_allocated_bytes())
        return pa.table([np.full(rows.num_rows, 0.5)], self.schema)


def _most_bytes(folder: Path, num_groups: int) -> tuple[int, int]:
    """Return what was held at most while a partition was scored, and the size of the partition, in bytes."""
    store, path = FileStore(folder / "store"), folder / f"{num_groups}.parquet"
    generator = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("x", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for group in range(num_groups):
            ids = np.arange(group * GROUP_ROWS, (group + 1) * GROUP_ROWS)
            writer.write_table(pa.table([ids, generator.random(GROUP_ROWS)], schema))
    data = path.read_bytes()
    store.upload("m/rows.parquet", path)
    partition = Partition(
        name=f"{num_groups}",
        key="m/rows.parquet",
        content_sha256=sha256_of(data),
        num_rows=num_groups * GROUP_ROWS,
        size_bytes=len(data),
    )
    task = Task(
        model="m",
        version=1,
        role="champion",
        requested_at="2013-04-01",
        share=1.0,
        key_columns=("id",),
        time_column=None,
        batch_rows=20_000,
    )
    before, answerer = pa.total_allocated_bytes(), _Half()
    del data
    assert score_partition(store, partition, task, answerer).num_rows == num_groups * GROUP_ROWS
    return answerer.most_bytes - before, partition.size_bytes


def test_a_partition_ten_times_as_large_takes_no_more_memory(tmp_path: Path) -> None:
    (small, small_size), (large, large_size) = _most_bytes(tmp_path, 4), _most_bytes(tmp_path, 40)
    assert large - small < (large_size - small_size) / 4  # how far the writing is behind differs from batch to batch
