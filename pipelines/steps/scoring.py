"""What scoring a shard is for either half: which partitions are still to be answered, and by whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from pipelines.errors import DataError, IntegrityError, ObjectMissing
from pipelines.records import Appointed, Appointee, Candidate, Ingested, Partition, ScoredPartition, ScoredShard
from pipelines.serving.answering import Answerer, whole
from pipelines.serving.scoring import Role, Task, find_scored, score_partition
from pipelines.serving.shards import shard_of
from pipelines.steps.context import Context
from pipelines.store.verified import read_record

LOG = logging.getLogger(__name__)

Load = Callable[[Candidate], Answerer]


def score_shard(context: Context, ingested: Ingested, appointed: Appointed, shard: int, load: Load) -> ScoredShard:
    """Let the champion answer one shard's partitions, and the challenger its share of them.

    What was answered before is found and not answered again; a version is loaded only where it has something to do. A
    partition that the champion cannot answer keeps no other from it, and fails the shard in the end. A challenger that
    cannot answer fails nothing: it is said in the log, its results are missing, and the next run tries it again.

    Args:
        context: The model's surroundings.
        ingested: The partitions of all shards.
        appointed: Who answers.
        shard: This shard's number, from 0 on.
        load: Loads a version by the record of its candidate.

    Raises:
        DataError: If rows do not fit the champion, or a partition is not what was ingested.
        IntegrityError: If the champion is gone or not what was written.
        StoreError: If the store does not answer.
    """
    mine = shard_of(ingested.partitions, appointed.shards, shard)
    task = _task(context, appointed, "champion", appointed.champion)
    scored, failed = _answered(context, mine, task, partial(_loaded, context, appointed.champion, load))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(mine)} partitions could not be scored; the other {len(scored)} are stored. "
            f"{' '.join(failed)}"
        )
    if appointed.canary is not None:
        task = _task(context, appointed, "canary", appointed.canary)
        try:
            scored += _answered(context, mine, task, partial(_loaded, context, appointed.canary, load))[0]
        except IntegrityError as error:
            LOG.error("%s", error)
    return ScoredShard(model=context.spec.name, shard=shard, partitions=tuple(scored))


def _answered(
    context: Context, partitions: Sequence[Partition], task: Task, loaded: Callable[[], Answerer]
) -> tuple[list[ScoredPartition], list[str]]:
    """Return what one version answered, before or now, and why which partitions could not be answered."""
    scored: list[ScoredPartition] = []
    failed: list[str] = []
    left: list[Partition] = []
    for partition in partitions:
        with _of_this_alone(failed):
            found = find_scored(context.store, partition, task)
            if found is None:
                left.append(partition)
            else:
                scored.append(found)
    if left:
        answerer = loaded()
        for partition in left:
            with _of_this_alone(failed):
                found = score_partition(context.store, partition, task, answerer)
                scored.append(found)
                LOG.info("Partition %s: version %d answered %s rows", found.name, found.version, f"{found.num_rows:,}")
    return sorted(scored, key=lambda one: one.name), failed


@contextmanager
def _of_this_alone(failed: list[str]) -> Iterator[None]:
    """Note what is wrong with one partition, so that the others are answered."""
    try:
        yield
    except (DataError, IntegrityError, ObjectMissing) as error:
        LOG.error("%s", error)
        failed.append(str(error))


def _task(context: Context, appointed: Appointed, role: Role, appointee: Appointee) -> Task:
    spec = context.spec
    return Task(
        model=spec.name,
        version=appointee.version,
        role=role,
        requested_at=appointed.requested_at,
        share=appointed.canary_share if role == "canary" else 1.0,
        key_columns=tuple(spec.source.key_columns),
        time_column=spec.source.time_column,
        batch_rows=spec.scoring.batch_rows,
    )


def _loaded(context: Context, appointee: Appointee, load: Load) -> Answerer:
    with whole(context.spec.name, appointee):
        return load(read_record(context.store, appointee.candidate_key, Candidate, appointee.candidate_sha256))
