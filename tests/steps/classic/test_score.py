"""Score partitions by a real champion: exactly once for a content and a version, whoever is killed or comes twice."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.classic.evaluation.models import load_candidate
from pipelines.errors import DataError, IntegrityError, UsageError
from pipelines.records import (
    Appointed,
    Candidate,
    Ingested,
    Partition,
    ScoredPartition,
    ScoredShard,
    Window,
    WindowRequest,
    sha256_of,
)
from pipelines.registry.ledger import read_ledger
from pipelines.spec import ClassicSpec
from pipelines.steps.appoint import appoint
from pipelines.steps.classic.score import score
from pipelines.steps.collect import collect
from pipelines.steps.context import Context
from pipelines.steps.headlines import headline
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import read_record


def _rows(start: int, num_rows: int) -> pa.Table:
    """Return rows without the target: a champion is asked before anybody knows."""
    x = np.random.default_rng(start).uniform(-1, 1, num_rows)
    kinds = ["a" if number % 3 else "b" for number in range(num_rows)]
    return pa.table(
        {
            "id": pa.array(range(start, start + num_rows), pa.int64()),
            "x": x,
            "n": pa.array(range(num_rows), pa.int64()),
            "kind": pa.array(kinds, pa.string()),
        }
    )


def _put(context: Context, name: str, table: pa.Table) -> Partition:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sha256 = sha256_of(sink.getvalue())
    key = f"tiny/partitions/{name}/{sha256}.parquet"
    context.store.write(key, sink.getvalue())
    size = len(sink.getvalue())
    return Partition(name=name, key=key, content_sha256=sha256, num_rows=table.num_rows, size_bytes=size)


def _ingested(context: Context, *partitions: Partition) -> Ingested:
    return Ingested(
        model="tiny", window=Window(), source="s", partitions=partitions, new=(), changed=(),
        num_rows=sum(one.num_rows for one in partitions),
    )  # fmt: skip


def _three(context: Context) -> Ingested:
    return _ingested(context, *(_put(context, f"2013-0{n}", _rows(100 * n, 20 * n)) for n in (1, 2, 3)))


def _read(context: Context, scored: ScoredPartition) -> pa.Table:
    data = context.store.read(scored.key)
    assert sha256_of(data) == scored.content_sha256
    return pq.read_table(io.BytesIO(data))


def _changed(context: Context, **scoring: Any) -> Context:
    found = context.spec.scoring.model_copy(update=scoring)
    return Context(context.spec.model_copy(update={"scoring": found}), context.environment, context.store)


def _scores(context: Context) -> list[str]:
    return [info.key for info in context.store.list("tiny/scores/")]


@pytest.fixture
def context(champions: Callable[[int], Any]) -> Context[ClassicSpec]:
    """Surroundings with one champion, version 1, and version 2 waiting."""
    found: Context[ClassicSpec] = champions(1).context
    return found


def _appointed(context: Context, as_of: str = "2013-04-01") -> Appointed:
    return appoint(context, WindowRequest(as_of=as_of))


def test_each_row_has_the_champions_prediction_in_the_rows_order(context: Context) -> None:
    ingested, appointed = _three(context), _appointed(context)
    shard = score(context, ingested, appointed, 0)
    assert [one.name for one in shard.partitions] == ["2013-01", "2013-02", "2013-03"]
    entry = read_ledger(context.store, "tiny")[0]
    model = load_candidate(context.store, read_record(context.store, entry.candidate_key, Candidate))
    for number, scored in enumerate(shard.partitions, start=1):
        rows = _rows(100 * number, 20 * number)
        found = _read(context, scored)
        assert found.column_names == ["id", "row", "prediction.False", "prediction.True"]
        assert found["id"].equals(rows["id"])
        assert found["row"].to_pylist() == list(range(20 * number))
        assert np.asarray(found["prediction.True"]) == pytest.approx(model.predict_proba(rows)[:, 1])
        assert (scored.role, scored.version, scored.num_rows) == ("champion", 1, 20 * number)
    assert headline(shard) == "shard 0: 120 rows in 3 results"


def test_small_batches_give_the_same_bytes(context: Context) -> None:
    ingested, appointed = _three(context), _appointed(context)
    whole = score(context, ingested, appointed, 0)
    for key in _scores(context):
        context.store.delete(key)
    assert score(_changed(context, batch_rows=7), ingested, appointed, 0) == whole


def test_the_target_is_never_read(context: Context) -> None:
    rows = _rows(0, 30)
    partition = _put(context, "all", rows.append_column("y", pa.array([["no", "label"]] * 30)))
    scored = score(context, _ingested(context, partition), _appointed(context), 0).partitions[0]
    assert "y" not in _read(context, scored).column_names
    plain = score(context, _ingested(context, _put(context, "all", rows)), _appointed(context), 0).partitions[0]
    assert plain.content_sha256 == scored.content_sha256


def test_scoring_again_loads_no_model_and_changes_nothing(context: Context) -> None:
    ingested = _three(context)
    first = score(context, ingested, _appointed(context), 0)
    stored = _scores(context)
    entry = read_ledger(context.store, "tiny")[0]
    context.store.delete(read_record(context.store, entry.candidate_key, Candidate).model_key)
    assert score(context, ingested, _appointed(context, "2013-06-01"), 0) == first
    assert _scores(context) == stored


def test_another_content_and_another_version_are_answered_anew(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    context = workshop.context
    before = _put(context, "2013-01", _rows(1, 20))
    old = score(context, _ingested(context, before), _appointed(context), 0).partitions[0]
    after = _put(context, "2013-01", _rows(2, 20))
    new = score(context, _ingested(context, after), _appointed(context), 0).partitions[0]
    workshop.promote_one()
    second = score(context, _ingested(context, before), _appointed(context), 0).partitions[0]
    assert (old.version, new.version, second.version) == (1, 1, 2)
    assert len({old.key, new.key, second.key}) == 3
    assert sum(key.endswith(".json") for key in _scores(context)) == 3


def test_who_answers_is_fixed_for_a_run_whatever_is_promoted_meanwhile(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    context = _changed(workshop.context, shards=2)
    ingested, appointed = _three(context), _appointed(context)
    first = score(context, ingested, appointed, 0)
    workshop.promote_one()
    second = score(context, ingested, appointed, 1)
    collected = collect(context, ingested, appointed, [first, second])
    assert {one.version for one in collected.partitions} == {1}
    assert collected.champion_version == 1
    assert collected.champion_ledger_sha256 == read_ledger(context.store, "tiny")[0].sha256
    assert [one.name for one in collected.partitions] == list(collected.new) == ["2013-01", "2013-02", "2013-03"]
    assert headline(collected) == "120 rows in 3 partitions, 3 of them new, answered by version 1"


def test_what_an_earlier_run_scored_is_not_new_and_what_this_run_scored_before_it_was_killed_is(
    context: Context,
) -> None:
    ingested = _three(context)
    early = _ingested(context, ingested.partitions[0])
    score(context, early, _appointed(context, "2013-04-01"), 0)
    later = _appointed(context, "2013-05-01")
    score(context, _ingested(context, ingested.partitions[1]), later, 0)  # and then it was killed
    collected = collect(context, ingested, later, [score(context, ingested, later, 0)])
    assert collected.new == ("2013-02", "2013-03")


def test_shards_that_are_not_the_whole_run_are_refused(context: Context) -> None:
    context = _changed(context, shards=2)
    ingested, appointed = _three(context), _appointed(context)
    first = score(context, ingested, appointed, 0)
    for shards in ([], [first], [first, first]):
        with pytest.raises(UsageError, match="not the 3 that were ingested"):
            collect(context, ingested, appointed, shards)


def test_an_empty_partition_and_an_empty_run_are_fine(context: Context) -> None:
    empty = _put(context, "2013-01", _rows(0, 20).slice(0, 0))
    scored = score(context, _ingested(context, empty), _appointed(context), 0).partitions[0]
    assert (scored.num_rows, _read(context, scored).num_rows) == (0, 0)
    assert _read(context, scored).column_names == ["id", "row", "prediction.False", "prediction.True"]
    nothing = _ingested(context)
    shard = score(context, nothing, _appointed(context), 0)
    collected = collect(context, nothing, _appointed(context), [shard])
    assert (collected.num_rows, collected.partitions, collected.new) == (0, (), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop_columns(["kind", "x"]), "2013-02.*version 1: it lacks the columns 'x', 'kind'"),
        (lambda rows: rows.drop_columns(["id"]), "it lacks the columns 'id'"),
        (lambda rows: rows.set_column(1, "x", pa.array([["far"]] * rows.num_rows)), "2013-02.*'x'"),
    ],
)
def test_a_partition_that_does_not_fit_fails_the_shard_after_the_others_are_stored(
    context: Context, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    good, last = _put(context, "2013-01", _rows(1, 20)), _put(context, "2013-03", _rows(3, 20))
    bad = _put(context, "2013-02", change(_rows(2, 20)))
    with pytest.raises(DataError, match=message) as caught:
        score(context, _ingested(context, good, bad, last), _appointed(context), 0)
    assert "1 of 3 partitions could not be scored; the other 2 are stored" in str(caught.value)
    assert len(_scores(context)) == 4
    assert not any("2013-02" in key for key in _scores(context))


def test_a_key_column_with_the_name_of_an_answer_is_refused(context: Context) -> None:
    source = context.spec.source.model_copy(update={"key_columns": ("row",)})
    spec = context.spec.model_copy(update={"source": source})
    rows = _rows(0, 20).rename_columns(["row", "x", "n", "kind"])
    ingested = _ingested(context, _put(context, "all", rows))
    with pytest.raises(DataError, match="'row' are names of answers"):
        score(Context(spec, context.environment, context.store), ingested, _appointed(context), 0)


def test_one_altered_byte_of_the_model_stops_the_shard(context: Context) -> None:
    ingested = _three(context)
    entry = read_ledger(context.store, "tiny")[0]
    key = read_record(context.store, entry.candidate_key, Candidate).model_key
    data = bytearray(context.store.read(key))
    data[len(data) // 2] ^= 1
    context.store.write(key, bytes(data))
    with pytest.raises(IntegrityError, match=r"tiny: version 1 is not whole: .* was altered.*Nothing was scored by it"):
        score(context, ingested, _appointed(context), 0)
    assert _scores(context) == []


def test_an_altered_partition_is_not_scored_and_the_others_are(context: Context) -> None:
    ingested = _three(context)
    key = ingested.partitions[1].key
    context.store.write(key, context.store.read(key) + b" ")
    with pytest.raises(DataError, match="was altered"):
        score(context, ingested, _appointed(context), 0)
    assert {key.split("/")[2] for key in _scores(context)} == {"2013-01", "2013-03"}


@pytest.mark.parametrize(("field", "value"), [("version", 3), ("name", "2013-09"), ("key", "tiny/scores/x.parquet")])
def test_a_record_that_is_of_other_answers_is_not_used(context: Context, field: str, value: Any) -> None:
    ingested = _three(context)
    score(context, ingested, _appointed(context), 0)
    key = next(key for key in _scores(context) if key.endswith(".json"))
    altered = read_record(context.store, key, ScoredPartition).model_copy(update={field: value})
    context.store.write(key, altered.to_bytes())
    with pytest.raises(DataError, match=r"1 of 3 .* the other 2 are stored.* was altered: it says"):
        score(context, ingested, _appointed(context), 0)


class _Meeting(MemoryStore):
    """A store in which writers of one record wait for each other, so that all are at work at once."""

    def __init__(self, store: MemoryStore, parties: int) -> None:
        super().__init__()
        for info in store.list():
            self.write(info.key, store.read(info.key))
        self.barrier = threading.Barrier(parties)

    def put_if_absent(self, key: str, data: bytes) -> Any:
        if "/scores/" in key:
            self.barrier.wait(timeout=30)
        return super().put_if_absent(key, data)


def test_of_two_scorers_at_once_the_first_record_counts_for_both(context: Context) -> None:
    ingested = _ingested(context, _put(context, "all", _rows(0, 50)))
    both = Context(context.spec, context.environment, _Meeting(context.store, 2))
    moments = [_appointed(both, "2013-04-01"), _appointed(both, "2013-04-02")]
    with ThreadPoolExecutor(2) as pool:
        shards: Sequence[ScoredShard] = list(pool.map(lambda one: score(both, ingested, one, 0), moments))
    assert shards[0] == shards[1]
    (answers, record) = _scores(both)
    assert answers.endswith(".parquet")
    assert record.endswith("/v1.json")
    collected = [collect(both, ingested, one, [shards[0]]) for one in moments]
    assert sorted(len(one.new) for one in collected) == [0, 1]


def test_a_challenger_answers_a_share_of_the_same_rows(context: Context) -> None:
    context = _changed(context, canary_share=0.4, batch_rows=64)
    ingested = _ingested(context, _put(context, "all", _rows(0, 500)))
    appointed = _appointed(context)
    champion, canary = score(context, ingested, appointed, 0).partitions
    assert (champion.role, champion.version, canary.role, canary.version) == ("champion", 1, "canary", 2)
    assert canary.num_rows == pytest.approx(200, abs=60)
    all_rows, some = _read(context, champion), _read(context, canary)
    assert some["id"].equals(all_rows["id"].take(some["row"]))
    theirs = np.asarray(all_rows["prediction.True"].take(some["row"]))
    assert not np.allclose(np.asarray(some["prediction.True"]), theirs)
    collected = collect(context, ingested, appointed, [score(context, ingested, appointed, 0)])
    assert (collected.num_rows, collected.new) == (500, ("all",))
    assert [one.role for one in collected.partitions] == ["champion", "canary"]


def test_a_challenger_that_becomes_champion_answers_all_rows_then(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    context = _changed(workshop.context, canary_share=0.4)
    ingested = _ingested(context, _put(context, "all", _rows(0, 100)))
    score(context, ingested, _appointed(context), 0)
    workshop.promote_one()
    (found,) = score(context, ingested, _appointed(context), 0).partitions
    assert (found.role, found.version, found.num_rows) == ("champion", 2, 100)


def test_a_challenger_that_is_not_whole_keeps_no_champion_from_answering(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    context = _changed(context, canary_share=0.4)
    ingested, appointed = _three(context), _appointed(context)
    assert appointed.canary is not None
    key = read_record(context.store, appointed.canary.candidate_key, Candidate).model_key
    context.store.delete(key)
    shard = score(context, ingested, appointed, 0)
    assert {one.role for one in shard.partitions} == {"champion"}
    assert "version 2 is not whole" in caplog.text


def test_without_key_columns_the_rows_number_chooses(context: Context) -> None:
    context = _changed(context, canary_share=0.4)
    source = context.spec.source.model_copy(update={"key_columns": ()})
    context = Context(context.spec.model_copy(update={"source": source}), context.environment, context.store)
    ingested = _ingested(context, _put(context, "all", _rows(0, 500)))
    champion, canary = score(context, ingested, _appointed(context), 0).partitions
    assert _read(context, champion).column_names == ["row", "prediction.False", "prediction.True"]
    assert canary.num_rows == pytest.approx(200, abs=60)
