"""Let the champion predict every row of one shard's partitions."""

from __future__ import annotations

from pipelines.records import Appointed, Ingested, ScoredShard
from pipelines.serving.tables import TableAnswerer
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.scoring import score_shard


def score(context: Context[ClassicSpec], ingested: Ingested, appointed: Appointed, shard: int) -> ScoredShard:
    """Store one row of predictions a row, in the rows' order: their keys, their time, and `prediction.<label>`.

    Memory is bounded by the spec's batch of rows and one row group. Run again, nothing is predicted twice.

    Raises:
        DataError: If a partition's rows do not fit the model; the others are stored by then.
        IntegrityError: If the model is gone or not what was written.
        StoreError: If the store does not answer; running again goes on.
    """
    store, training = context.store, context.spec.training
    return score_shard(
        context, ingested, appointed, shard, lambda candidate: TableAnswerer.load(store, candidate, training)
    )
