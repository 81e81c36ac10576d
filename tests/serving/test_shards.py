from __future__ import annotations

import pytest

from pipelines.records import Partition
from pipelines.serving.shards import shard_of


def _partitions(*sizes: int) -> list[Partition]:
    return [
        Partition(name=f"{place:03}", key=f"k{place}", content_sha256="a", num_rows=size, size_bytes=1)
        for place, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7])
def test_every_partition_is_in_exactly_one_shard_in_order_of_names(num_shards: int) -> None:
    partitions = _partitions(5, 0, 9, 9, 2, 100, 1)
    shards = [shard_of(partitions, num_shards, shard) for shard in range(num_shards)]
    assert sorted(one.name for shard in shards for one in shard) == [one.name for one in partitions]
    assert all([one.name for one in shard] == sorted(one.name for one in shard) for shard in shards)


def test_shards_hold_about_the_same_number_of_rows() -> None:
    partitions = _partitions(100, 90, 50, 40, 10, 10)
    rows = [sum(one.num_rows for one in shard_of(partitions, 2, shard)) for shard in range(2)]
    assert rows == [150, 150]


def test_the_order_in_which_partitions_come_changes_nothing() -> None:
    partitions = _partitions(3, 3, 3, 8)
    assert shard_of(partitions, 2, 1) == shard_of(partitions[::-1], 2, 1)


def test_more_shards_than_partitions_leave_some_without_work() -> None:
    assert [len(shard_of(_partitions(4, 2), 5, shard)) for shard in range(5)] == [1, 1, 0, 0, 0]
