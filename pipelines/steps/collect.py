"""Join what the shards of a scoring run did into one record."""

from __future__ import annotations

from pipelines.errors import UsageError
from pipelines.records import Appointed, Ingested, Scored, ScoredShard
from pipelines.steps.context import Context


def collect(context: Context, ingested: Ingested, appointed: Appointed, shards: list[ScoredShard]) -> Scored:
    """Return all partitions of a run with their answers; `new` are those that this very run answered.

    Raises:
        UsageError: If the shards do not hold each partition of the run exactly once.
    """
    partitions = sorted(
        (one for shard in shards for one in shard.partitions), key=lambda one: (one.name, one.role != "champion")
    )
    by_champion = [one for one in partitions if one.role == "champion"]
    found = [(one.name, one.partition_sha256) for one in by_champion]
    expected = sorted((one.name, one.content_sha256) for one in ingested.partitions)
    if found != expected:
        raise UsageError(
            f"{context.spec.name}: the shards hold {len(found)} partitions, and they are not the {len(expected)} that "
            "were ingested. Nothing was collected; run the step score for every shard."
        )
    return Scored(
        model=context.spec.name,
        window=ingested.window,
        champion_version=appointed.champion.version,
        champion_ledger_sha256=appointed.champion.ledger_sha256 or "",
        snapshot_id=appointed.snapshot_id,
        partitions=tuple(partitions),
        new=tuple(one.name for one in by_champion if one.requested_at == appointed.requested_at),
        num_rows=sum(one.num_rows for one in by_champion),
    )
