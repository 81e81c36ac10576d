from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StoreError, UsageError
from pipelines.monitoring.policy import run_id_of
from pipelines.records import RetrainingRequest
from pipelines.registry.decisions import last_decision, put_request, read_decisions, state_after, stored_request_ids
from pipelines.steps.request import decide_requests, request, sweep
from pipelines.steps.run import run_step_in
from pipelines.store import ObjectInfo
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from tests.steps.deciding import MODEL, begun, context_of, wish


def test_the_first_request_starts_a_run_whose_id_follows_from_it() -> None:
    context = context_of(MemoryStore())
    decided = request(context, wish(note="slow"), "2013-05-01")
    assert (decided.outcome, decided.run_id) == ("start", run_id_of(MODEL, wish().id))
    assert (decided.run_after, decided.as_of) == ("2013-05-01T00:00:00+00:00", "2013-05-01T00:00:00+00:00")
    assert decided.reasons == ("event: slow",)
    (entry,) = read_decisions(context.store, MODEL)
    assert (entry.seq, entry.action, entry.requests, entry.by) == (1, "requested", (wish().id,), "ada")


def test_an_equal_request_is_known_and_writes_nothing() -> None:
    context = context_of(MemoryStore())
    first = request(context, wish())
    again = request(context, wish(note="otherwise told", at="later"))
    assert (again.outcome, again.run_id, again.entry_seq) == ("known", first.run_id, 1)
    assert len(read_decisions(context.store, MODEL)) == 1


def test_another_request_goes_into_the_run_that_has_not_begun() -> None:
    context = context_of(MemoryStore())
    first, second = request(context, wish(1)), request(context, wish(2))
    assert (second.outcome, second.run_id, second.run_after) == ("fold", first.run_id, first.run_after)


def test_a_thousand_requests_in_a_cooldown_are_one_run_and_one_follow_up() -> None:
    context = context_of(MemoryStore(), cooldown_days=7)
    first = request(context, wish(0), "2013-05-01")
    begun(context, first, as_of="2013-05-01")
    follow_up = [request(context, wish(number), "2013-05-02") for number in range(1, 500)]
    follow_up += decide_requests(context, [wish(number) for number in range(500, 1000)], "2013-05-03")
    assert {decided.run_id for decided in follow_up} == {follow_up[0].run_id} != {first.run_id}
    assert [decided.outcome for decided in follow_up].count("start") == 1
    assert follow_up[-1].run_after == "2013-05-08T00:00:00+00:00"
    pending = state_after(last_decision(context.store, MODEL)).pending
    assert pending is not None
    assert (pending.num_requests, pending.as_of) == (999, "2013-05-03T00:00:00+00:00")


def test_many_requests_are_decided_by_one_entry_and_answered_in_their_order() -> None:
    context = context_of(MemoryStore())
    request(context, wish(2))
    answers = decide_requests(context, [wish(number) for number in (1, 2, 3, 1)])
    assert [answer.request_id for answer in answers] == [wish(number).id for number in (1, 2, 3, 1)]
    assert [answer.outcome for answer in answers] == ["fold", "known", "fold", "known"]
    entries = read_decisions(context.store, MODEL)
    assert [entry.requests for entry in entries] == [(wish(2).id,), (wish(1).id, wish(3).id)]
    assert decide_requests(context, []) == []


def test_the_first_of_many_starts_the_run_that_the_others_go_into() -> None:
    answers = decide_requests(context_of(MemoryStore()), [wish(number) for number in (7, 8, 9)])
    assert [answer.outcome for answer in answers] == ["start", "fold", "fold"]
    assert {answer.run_id for answer in answers} == {run_id_of(MODEL, wish(7).id)}


def test_where_one_of_many_is_for_another_model_none_is_stored() -> None:
    context = context_of(MemoryStore())
    stray = RetrainingRequest(model="other", reason="event")
    with pytest.raises(UsageError, match="for model 'other', and was handed to 'flight_delay'"):
        decide_requests(context, [wish(), stray])
    assert list(context.store.list()) == []


def test_a_moment_far_ahead_is_refused_and_nothing_is_stored() -> None:
    context = context_of(MemoryStore())
    with pytest.raises(UsageError, match="may lie a day ahead at most"):
        request(context, wish(), "2999-01-01")
    assert list(context.store.list()) == []


def test_a_request_that_was_stored_and_never_decided_is_decided_by_the_next_look() -> None:
    context = context_of(MemoryStore())
    for number in (1, 2):
        put_request(context.store, wish(number))
    swept = sweep(context, "2013-05-01")
    assert (swept.outcome, swept.run_after) == ("known", "2013-05-01T00:00:00+00:00")
    entries = read_decisions(context.store, MODEL)
    assert [sorted(entry.requests) for entry in entries] == [sorted([wish(1).id, wish(2).id])]
    assert sweep(context).run_id == swept.run_id
    assert len(read_decisions(context.store, MODEL)) == 1
    assert request(context, wish(1)).outcome == "known"


def test_asking_again_decides_a_request_that_was_stored_and_never_decided() -> None:
    context = context_of(MemoryStore())
    put_request(context.store, wish())
    assert request(context, wish()).outcome == "start"


def test_a_look_names_the_run_that_airflow_must_hold_until_it_begins() -> None:
    context = context_of(MemoryStore())
    assert sweep(context).outcome == "none"
    decided = request(context, wish())
    assert (sweep(context).run_id, sweep(context).run_after) == (decided.run_id, decided.run_after)
    begun(context, decided)
    assert (sweep(context).outcome, sweep(context).run_id) == ("none", None)


class _Counts(MemoryStore):
    num_read = 0

    def read(self, key: str) -> bytes:
        self.num_read += 1
        return super().read(key)


def test_where_nothing_was_forgotten_a_look_reads_the_last_decision_only() -> None:
    store = _Counts()
    context = context_of(store)
    for number in range(50):
        request(context, wish(number))
    store.num_read = 0
    sweep(context)
    assert store.num_read == 1


def test_of_equal_requests_at_once_one_starts_a_run_and_the_others_are_known(tmp_path: Path) -> None:
    context = context_of(FileStore(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: request(context, wish()), range(40)))
    assert sorted(answer.outcome for answer in answers) == ["known"] * 39 + ["start"]
    assert len({answer.run_id for answer in answers}) == 1
    assert len(read_decisions(context.store, MODEL)) == 1


def test_of_different_requests_at_once_all_go_into_one_run(tmp_path: Path) -> None:
    context = context_of(FileStore(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: request(context, wish(number)), range(40)))
    assert sorted(answer.outcome for answer in answers) == ["fold"] * 39 + ["start"]
    assert len({answer.run_id for answer in answers}) == 1
    decided = [one for entry in read_decisions(context.store, MODEL) for one in entry.requests]
    assert sorted(decided) == sorted(stored_request_ids(context.store, MODEL))


class _LooksAway(MemoryStore):
    """A store in which a sweep decides everything between the storing and the deciding of a request."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        info = super().put_if_absent(key, data)
        if "/requests/" in key:
            sweep(context_of(self))
        return info


def test_a_request_that_a_sweep_decided_in_between_is_known_and_not_decided_twice() -> None:
    store = _LooksAway()
    assert request(context_of(store), wish()).outcome == "known"
    (entry,) = read_decisions(store, MODEL)
    assert entry.requests == (wish().id,)


class _Down(MemoryStore):
    """A store that does not answer to some writes, for a while."""

    down_for: str | None = None

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        if self.down_for is not None and self.down_for in key:
            raise StoreError("The store does not answer.")
        return super().put_if_absent(key, data)


@pytest.mark.parametrize("what", ["/requests/", "/decisions/"])
def test_a_store_that_is_down_for_a_while_loses_and_doubles_nothing(what: str) -> None:
    store = _Down()
    context = context_of(store)
    store.down_for = what
    with pytest.raises(StoreError):
        request(context, wish())
    store.down_for = None
    assert request(context, wish()).outcome == "start"
    assert len(read_decisions(store, MODEL)) == 1
    assert sweep(context).run_id == run_id_of(MODEL, wish().id)


def test_the_step_takes_and_gives_plain_json() -> None:
    context = context_of(MemoryStore())
    answer: Any = run_step_in(context, "request", wish().to_dict(), None)
    assert (answer["outcome"], answer["request_id"]) == ("start", wish().id)


def test_a_thousand_different_requests_take_seconds(tmp_path: Path) -> None:
    context = context_of(FileStore(tmp_path))
    start = time.perf_counter()
    assert len(decide_requests(context, [wish(number) for number in range(1000)])) == 1000
    assert time.perf_counter() - start < 10
    assert len(read_decisions(context.store, MODEL)) == 1
