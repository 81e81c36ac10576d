"""Kill -9 a shard in the middle of its work, run it again, and find what one that nobody killed leaves."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from pipelines.records import Appointed, Ingested, Partition, ScoredShard, Window, WindowRequest, sha256_of
from pipelines.serving.tables import TableAnswerer
from pipelines.spec import ClassicSpec
from pipelines.steps.appoint import appoint
from pipelines.steps.classic.score import score
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.files import FileStore
from tests.faults.deadly import DeadlyStore
from tests.faults.deadly import run_in_child as run_forked

BATCH_ROWS = 10


def run_in_child(do: Callable[[], object]) -> int:
    """Run in a forked child with one thread: OpenMP waits for ever, in a fork, for the threads that its parent had."""

    def alone() -> None:
        with threadpool_limits(1):
            do()

    return run_forked(alone)


def _ingested(store: Store) -> Ingested:
    partitions = []
    for number in (1, 2):
        rows = pa.table({"id": list(range(50)), "x": [number / 100] * 50, "n": list(range(50)), "kind": ["a"] * 50})
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        data, name = sink.getvalue(), f"2013-0{number}"
        key = f"tiny/partitions/{name}/{sha256_of(data)}.parquet"
        store.write(key, data)
        partitions.append(
            Partition(name=name, key=key, content_sha256=sha256_of(data), num_rows=50, size_bytes=len(data))
        )
    return Ingested(
        model="tiny", window=Window(), source="s", partitions=tuple(partitions), new=(), changed=(), num_rows=100
    )


@pytest.fixture
def context(champions: Callable[[int], Any], tmp_path: Path) -> Context[ClassicSpec]:
    """Surroundings with one champion and a store on the disk, which outlives a process."""
    found = champions(1).context
    store = FileStore(tmp_path / "store")
    for info in found.store.list():
        store.write(info.key, found.store.read(info.key))
    scoring = found.spec.scoring.model_copy(update={"batch_rows": BATCH_ROWS, "canary_share": 0.5})
    return Context(found.spec.model_copy(update={"scoring": scoring}), found.environment, store)


def _objects(store: Store) -> dict[str, str]:
    return {info.key: sha256_of(store.read(info.key)) for info in store.list("tiny/scores/")}


def _forget(store: Store) -> None:
    for key in _objects(store):
        store.delete(key)


def _with(context: Context[ClassicSpec], store: Store) -> Context[ClassicSpec]:
    return Context(context.spec, context.environment, store)


def _whole(context: Context[ClassicSpec]) -> tuple[Ingested, Appointed, ScoredShard, dict[str, str]]:
    """Score once without being killed, return what that leaves, and forget it in the store."""
    ingested, appointed = _ingested(context.store), appoint(context, WindowRequest(as_of="2013-04-01"))
    shard = score(context, ingested, appointed, 0)
    objects = _objects(context.store)
    assert len(objects) == 2 * len(shard.partitions) == 8
    _forget(context.store)
    return ingested, appointed, shard, objects


def test_a_shard_killed_before_or_after_any_write_leaves_one_record_of_each_when_run_again(
    context: Context[ClassicSpec],
) -> None:
    ingested, appointed, whole, objects = _whole(context)
    counting = DeadlyStore(context.store, None)
    score(_with(context, counting), ingested, appointed, 0)
    assert counting.passed == 16  # before and after the answers and the record of two partitions and two versions
    for point in range(counting.passed):
        _forget(context.store)
        deadly = _with(context, DeadlyStore(context.store, point))
        assert run_in_child(partial(score, deadly, ingested, appointed, 0)) == -signal.SIGKILL
        left = _objects(context.store)
        assert left.items() <= objects.items()
        assert len(left) == (point + 1) // 2
        assert score(context, ingested, appointed, 0) == whole
        assert _objects(context.store) == objects


@pytest.mark.parametrize("batches", [0, 3])
def test_a_shard_killed_between_two_batches_leaves_nothing_in_the_store(
    context: Context[ClassicSpec], monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    ingested, appointed, whole, objects = _whole(context)
    answer, answered = TableAnswerer.answer, []

    def deadly(self: TableAnswerer, rows: pa.Table) -> pa.Table:
        if len(answered) == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        answered.append(rows.num_rows)
        return answer(self, rows)

    with monkeypatch.context() as patched:
        patched.setattr(TableAnswerer, "answer", deadly)
        assert run_in_child(partial(score, context, ingested, appointed, 0)) == -signal.SIGKILL
    assert _objects(context.store) == {}
    assert score(context, ingested, appointed, 0) == whole
    assert _objects(context.store) == objects
