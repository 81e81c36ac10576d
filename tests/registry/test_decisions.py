from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.errors import IntegrityError, ObjectExists, StoreError
from pipelines.records import DecisionEntry, DecisionState, RetrainingRequest
from pipelines.registry.decisions import (
    append_decision,
    decision_key,
    decisions_back,
    find_begun,
    find_requests,
    last_decision,
    put_request,
    read_decisions,
    read_request,
    request_key,
    state_after,
    stored_request_ids,
    walk_decisions,
)
from pipelines.registry.sealed import seal
from pipelines.store import Store
from pipelines.store.base import ObjectInfo
from pipelines.store.memory import MemoryStore


def _fields(state: DecisionState, **changes: Any) -> dict[str, Any]:
    after = state.model_copy(update={"num_requests": state.num_requests + 1})
    fixed = {"action": "observed", "by": "ada", "at": "2013-05-01T00:00:00+00:00", "as_of": "2013-05-01T00:00:00+00:00"}
    return {**fixed, "state": after, **changes}


def _append(store: Store, **changes: Any) -> DecisionEntry:
    entry = append_decision(store, "m", last_decision(store, "m"), lambda state, _: _fields(state, **changes))
    assert entry is not None
    return entry


@pytest.fixture
def ten() -> MemoryStore:
    """A chain of ten decisions, the fifth of which decided request `e`."""
    store = MemoryStore()
    for number in range(1, 11):
        _append(store, requests=("e",) if number == 5 else ())
    return store


def test_each_decision_follows_the_one_before_it_and_builds_on_its_state(store: Store) -> None:
    appended = [_append(store) for _ in range(3)]
    assert read_decisions(store, "m") == appended
    assert last_decision(store, "m") == appended[-1]
    assert [entry.previous_sha256 for entry in appended] == [None, appended[0].sha256, appended[1].sha256]
    assert state_after(appended[-1]).num_requests == 3


def test_all_who_decide_at_once_are_written_one_after_another_and_none_is_lost(store: Store) -> None:
    def decide(number: int) -> DecisionEntry | None:
        return append_decision(store, "m", None, lambda state, _: _fields(state, by=f"worker {number}"))

    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(decide, range(18)))
    entries = read_decisions(store, "m")
    assert sorted(entry.seq for entry in written if entry) == list(range(1, 19))
    assert {entry.by for entry in entries} == {f"worker {number}" for number in range(18)}
    assert entries[-1].state.num_requests == 18


def test_who_comes_second_is_told_what_was_written_in_between_and_may_have_nothing_left_to_say() -> None:
    store = MemoryStore()
    first = _append(store, requests=("a",))
    seen: list[Sequence[DecisionEntry]] = []

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any] | None:
        seen.append(list(missed))
        return None if missed else _fields(state)

    assert append_decision(store, "m", None, draft) is None
    assert seen == [[], [first]]
    assert read_decisions(store, "m") == [first]


class _AnswersLate(MemoryStore):
    """A store whose put succeeds, loses its answer, and is tried again beneath the caller."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        super().put_if_absent(key, data)
        return super().put_if_absent(key, data)


def test_an_own_write_whose_answer_was_lost_is_known_again() -> None:
    store = _AnswersLate()
    with pytest.raises(ObjectExists):
        store.put_if_absent("elsewhere", b"x")
    entry = _append(store)
    assert read_decisions(store, "m") == [entry]


class _AlwaysSecond(MemoryStore):
    """A store in which somebody else always writes the entry a moment before."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        number = int(key[-13:-5])
        last = DecisionEntry.from_dict(
            {**_fields(DecisionState()), "by": "eve", "model": "m", "seq": number, "previous_sha256": self._previous()}
        )
        super().put_if_absent(key, seal(last))
        return super().put_if_absent(key, data)

    def _previous(self) -> str | None:
        before = last_decision(self, "m")
        return before.sha256 if before else None


def test_who_is_second_again_and_again_is_told_of_all_that_was_written_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.registry.decisions.ROUNDS", 4)
    seen: list[int] = []

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any]:
        seen.append(len(missed))
        return _fields(state)

    with pytest.raises(StoreError):
        append_decision(_AlwaysSecond(), "m", None, draft)
    assert seen == [0, 1, 2, 3]


def test_who_is_second_too_often_gives_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.registry.decisions.ROUNDS", 5)
    with pytest.raises(StoreError, match="others were first 5 times"):
        _append(_AlwaysSecond())


class _Counts(MemoryStore):
    """A store that counts what is read."""

    num_read = 0

    def read(self, key: str) -> bytes:
        self.num_read += 1
        return super().read(key)


def test_of_thousands_of_decisions_the_last_alone_is_read() -> None:
    store = _Counts()
    for _ in range(200):
        _append(store)
    store.num_read = 0
    assert last_decision(store, "m") is not None
    assert store.num_read == 1


def test_a_request_is_found_by_reading_back_no_further_than_it_lies() -> None:
    store = _Counts()
    for number in range(1, 201):
        _append(store, requests=(str(number),))
    head, store.num_read = last_decision(store, "m"), 0
    found = find_requests(store, "m", head, ["199", "190"])
    assert {one: entry.seq for one, entry in found.items()} == {"199": 199, "190": 190}
    assert store.num_read < 40
    assert find_requests(store, "m", head, ["1"])["1"].seq == 1
    assert find_requests(store, "m", head, ["none"]) == {}
    store.num_read = 0
    assert find_requests(store, "m", head, []) == {}
    assert store.num_read == 0


def test_back_from_the_head_every_decision_comes_once(ten: MemoryStore) -> None:
    assert [entry.seq for entry in decisions_back(ten, "m", last_decision(ten, "m"))] == list(range(10, 0, -1))
    assert list(decisions_back(ten, "m", None)) == []


def test_a_run_that_began_is_found_by_its_id(ten: MemoryStore) -> None:
    _append(ten, action="requested", run_id="r")
    assert find_begun(ten, "m", last_decision(ten, "m"), "r") is None
    begun = _append(ten, action="begun", run_id="r")
    _append(ten)
    assert find_begun(ten, "m", last_decision(ten, "m"), "r") == begun


@pytest.mark.parametrize("seq", [1, 6, 10])
def test_an_altered_decision_is_named(ten: MemoryStore, seq: int) -> None:
    head, key = last_decision(ten, "m"), decision_key("m", seq)
    ten.write(key, ten.read(key).replace(b"ada", b"eve"))
    with pytest.raises(IntegrityError, match=f"Decision {re.escape(key)} was altered: expected hash"):
        read_decisions(ten, "m")
    if seq == 10:
        with pytest.raises(IntegrityError, match=f"Decision {re.escape(key)} was altered"):
            last_decision(ten, "m")
    else:
        with pytest.raises(IntegrityError, match=f"Decision {re.escape(key)} was altered"):
            list(decisions_back(ten, "m", head))
    assert [isinstance(item, IntegrityError) for item in walk_decisions(ten, "m")].count(True) == 1


def test_a_decision_sealed_anew_does_not_fit_its_successor_when_read_back(ten: MemoryStore) -> None:
    forged = read_decisions(ten, "m")[6].model_copy(update={"by": "eve"})
    ten.write(decision_key("m", 7), seal(forged))
    with pytest.raises(IntegrityError, match=r"00000008.json does not follow the entry before it"):
        find_requests(ten, "m", last_decision(ten, "m"), ["e"])


def test_nothing_is_appended_after_an_entry_that_does_not_follow_what_the_caller_saw(ten: MemoryStore) -> None:
    head = read_decisions(ten, "m")[8].model_copy(update={"by": "eve"})
    with pytest.raises(IntegrityError, match=r"00000010.json does not follow"):
        append_decision(ten, "m", head, lambda state, _: _fields(state))
    assert ten.stat(decision_key("m", 11)) is None


def test_a_stranger_among_the_decisions_is_named(ten: MemoryStore) -> None:
    ten.write("m/decisions/note.json", b"{}")
    with pytest.raises(IntegrityError, match="lies among the decisions and is no entry"):
        last_decision(ten, "m")


def test_a_request_is_stored_once_under_what_it_asks_and_not_under_who_asks(store: Store) -> None:
    request = RetrainingRequest(model="m", reason="event", evidence={"b": 1, "a": [None]}, note="slow", by="ada")
    assert put_request(store, request)
    assert not put_request(store, request.model_copy(update={"by": "eve", "note": "again", "at": "later"}))
    assert read_request(store, "m", request.id) == request
    assert stored_request_ids(store, "m") == [request.id]


@pytest.mark.parametrize("found", [b"{}", b"no JSON", b'{"model":"m","reason":"data"}'])
def test_a_request_that_was_altered_is_not_used(found: bytes) -> None:
    store, request = MemoryStore(), RetrainingRequest(model="m", reason="event")
    store.write(request_key("m", request.id), found)
    with pytest.raises(IntegrityError, match=request.id):
        read_request(store, "m", request.id)
