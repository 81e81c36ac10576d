"""Let the champion answer every prompt of one shard's partitions."""

from __future__ import annotations

from pipelines.records import Appointed, Ingested, ScoredShard
from pipelines.serving.prompts import PromptAnswerer
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.scoring import score_shard


def score(context: Context[LlmSpec], ingested: Ingested, appointed: Appointed, shard: int) -> ScoredShard:
    """Store one answer a row, in the rows' order, with its tokens, the seconds it took, and what was found in it.

    Memory is bounded by the weights and the spec's batch of rows. Run again, nothing is answered twice.

    Raises:
        DataError: If a partition's rows can hold no prompt; the others are stored by then.
        IntegrityError: If the weights are gone or not what was written.
        StoreError: If the store does not answer; running again goes on.
    """
    store, spec = context.store, context.spec
    return score_shard(
        context, ingested, appointed, shard, lambda candidate: PromptAnswerer.load(store, candidate, spec)
    )
