"""Share the partitions of a run out over its mapped tasks."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.records import Partition


def shard_of(partitions: Sequence[Partition], num_shards: int, shard: int) -> list[Partition]:
    """Return one shard's partitions, in order of their names: all shards have about the same number of rows.

    The largest partition that is left goes to the shard with the fewest rows; every partition is in exactly one shard.
    """
    shares: list[list[Partition]] = [[] for _ in range(num_shards)]
    rows = [0] * num_shards
    for partition in sorted(partitions, key=lambda one: (-one.num_rows, one.name)):
        least = rows.index(min(rows))
        shares[least].append(partition)
        rows[least] += partition.num_rows
    return sorted(shares[shard], key=lambda one: one.name)
