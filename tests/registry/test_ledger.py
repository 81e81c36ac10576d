from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError, ObjectExists, PromotionRefused, RollbackRefused
from pipelines.records import LedgerEntry, canonical_json
from pipelines.registry.ledger import (
    append_entry,
    champion_entry,
    entry_key,
    models_set_aside,
    previous_champion,
    read_ledger,
    walk_ledger,
)
from pipelines.registry.sealed import seal
from pipelines.store.base import ObjectInfo
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore

Append = Callable[..., LedgerEntry]
Fields = Callable[..., dict[str, Any]]


def test_an_empty_ledger_has_no_champion() -> None:
    assert champion_entry(read_ledger(MemoryStore(), "m")) is None


def test_each_entry_names_the_hash_of_the_one_before_it(three_promotions: MemoryStore) -> None:
    entries = read_ledger(three_promotions, "m")
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.previous_sha256 for entry in entries] == [None, entries[0].sha256, entries[1].sha256]


def test_the_entry_that_came_last_names_the_champion(three_promotions: MemoryStore) -> None:
    champion = champion_entry(read_ledger(three_promotions, "m"))
    assert champion is not None
    assert (champion.version, champion.by) == (3, "ada")


@pytest.mark.parametrize(
    ("history", "previous"),
    [
        ([("promote", 1)], None),
        ([("promote", 1), ("promote", 2)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("roll_back", 2)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("roll_back", 1)], None),
        ([("promote", 1), ("promote", 2), ("roll_back", 1), ("promote", 3)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 2)], 1),
        ([("promote", 1), ("promote", 2), ("promote", 1)], 2),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("roll_back", 1), ("roll_back", 3)], 1),
    ],
)
def test_previous_is_who_served_before_the_champion_first_came_up(
    history: list[tuple[str, int]], previous: int | None, append: Append
) -> None:
    store = MemoryStore()
    for action, version in history:
        append(store, version, action=action)
    found = previous_champion(read_ledger(store, "m"))
    assert (found.version if found else None) == previous


@pytest.mark.parametrize(
    ("history", "set_aside"),
    [
        ([("promote", 1), ("promote", 2)], {}),
        ([("promote", 1), ("promote", 2), ("roll_back", 1)], {2: 3}),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("roll_back", 1)], {2: 4, 3: 4}),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("roll_back", 2), ("roll_back", 1)], {3: 4, 2: 5}),
        ([("promote", 1), ("promote", 2), ("roll_back", 1), ("roll_back", 2)], {1: 4}),
        ([("promote", 1), ("promote", 2), ("roll_back", 1), ("promote", 3)], {2: 3}),
        ([("promote", 1), ("promote", 2), ("roll_back", 1), ("promote", 3), ("roll_back", 2)], {1: 5, 3: 5}),
        ([("promote", 1), ("promote", 2), ("roll_back", 1), ("roll_back", 2), ("promote", 3)], {1: 4}),
    ],
)
def test_a_rollback_sets_aside_what_served_since_the_version_gone_back_to(
    history: list[tuple[str, int]], set_aside: dict[int, int], append: Append
) -> None:
    store = MemoryStore()
    for action, version in history:
        append(store, version, action=action)
    found = models_set_aside(read_ledger(store, "m"))
    assert {served.version: rollback.seq for served, rollback in found.values()} == set_aside


def test_an_entry_altered_by_any_one_byte_is_named(three_promotions: MemoryStore) -> None:
    for seq in (1, 2, 3):
        whole = three_promotions.read(entry_key("m", seq))
        for position in range(0, len(whole), 7):
            altered = bytearray(whole)
            altered[position] ^= 1
            three_promotions.write(entry_key("m", seq), bytes(altered))
            with pytest.raises(IntegrityError, match=re.escape(entry_key("m", seq))):
                read_ledger(three_promotions, "m")
        three_promotions.write(entry_key("m", seq), whole)


def test_an_altered_entry_tells_the_hash_expected_and_the_hash_found(three_promotions: MemoryStore) -> None:
    entry = read_ledger(three_promotions, "m")[2]
    key = entry_key("m", 3)
    three_promotions.write(key, three_promotions.read(key).replace(b'"by":"ada"', b'"by":"eve"'))
    forged = entry.model_copy(update={"by": "eve"})
    with pytest.raises(IntegrityError, match=f"expected hash {entry.sha256}, found {forged.sha256}"):
        read_ledger(three_promotions, "m")


def test_an_entry_sealed_anew_does_not_fit_its_successor(three_promotions: MemoryStore) -> None:
    forged = read_ledger(three_promotions, "m")[1].model_copy(update={"version": 9})
    three_promotions.write(entry_key("m", 2), seal(forged))
    with pytest.raises(IntegrityError, match=r"00000003.json does not follow the entry before it"):
        read_ledger(three_promotions, "m")


def test_an_entry_of_the_same_meaning_in_other_bytes_is_refused(three_promotions: MemoryStore) -> None:
    key = entry_key("m", 3)
    three_promotions.write(key, json.dumps(json.loads(three_promotions.read(key)), indent=1).encode())
    with pytest.raises(IntegrityError, match=r"00000003.json is not in canonical form"):
        read_ledger(three_promotions, "m")


def test_a_missing_middle_entry_is_named(three_promotions: MemoryStore) -> None:
    three_promotions.delete(entry_key("m", 2))
    with pytest.raises(IntegrityError, match=r"00000002.json is missing"):
        read_ledger(three_promotions, "m")


def test_an_entry_in_anothers_place_is_named(three_promotions: MemoryStore) -> None:
    three_promotions.write(entry_key("m", 2), three_promotions.read(entry_key("m", 1)))
    with pytest.raises(
        IntegrityError, match=r"00000002.json is out of place: expected entry 2 of m, found entry 1 of m"
    ):
        read_ledger(three_promotions, "m")


def test_an_entry_of_another_model_is_named(three_promotions: MemoryStore, append: Append) -> None:
    append(three_promotions, 1, model="other")
    three_promotions.write(entry_key("m", 1), three_promotions.read(entry_key("other", 1)))
    with pytest.raises(IntegrityError, match="found entry 1 of other"):
        read_ledger(three_promotions, "m")


def test_a_stranger_among_the_entries_is_named(three_promotions: MemoryStore) -> None:
    three_promotions.write("m/ledger/note.json", b"{}")
    with pytest.raises(IntegrityError, match=r"m/ledger/note.json lies in the ledger and is no entry"):
        read_ledger(three_promotions, "m")


def test_one_altered_entry_does_not_condemn_the_others(three_promotions: MemoryStore) -> None:
    key = entry_key("m", 2)
    three_promotions.write(key, three_promotions.read(key).replace(b"ada", b"eve"))
    walked = list(walk_ledger(three_promotions, "m"))
    assert [isinstance(item, IntegrityError) for item in walked] == [False, True, False]


def test_nothing_is_appended_to_a_broken_ledger(three_promotions: MemoryStore, entry_fields: Fields) -> None:
    head = read_ledger(three_promotions, "m")[-1].sha256
    three_promotions.delete(entry_key("m", 1))
    with pytest.raises(IntegrityError):
        append_entry(three_promotions, "m", head, **entry_fields(4))
    assert three_promotions.stat(entry_key("m", 4)) is None


def test_who_saw_an_older_ledger_is_told_who_was_first(
    three_promotions: MemoryStore, append: Append, entry_fields: Fields
) -> None:
    seen = read_ledger(three_promotions, "m")[-1].sha256
    append(three_promotions, 4, by="grace")
    with pytest.raises(
        PromotionRefused, match=r"Version 5 does not serve: grace was first and promoted version 4 at 2"
    ):
        append_entry(three_promotions, "m", seen, **entry_fields(5))


def test_a_rollback_that_comes_second_is_a_refused_rollback(
    three_promotions: MemoryStore, append: Append, entry_fields: Fields
) -> None:
    seen = read_ledger(three_promotions, "m")[-1].sha256
    append(three_promotions, 1, action="roll_back", by="grace")
    with pytest.raises(RollbackRefused, match="grace was first and rolled back to version 1"):
        append_entry(three_promotions, "m", seen, **entry_fields(2, action="roll_back"))


class _AnswersLate(MemoryStore):
    """A store whose put succeeds, loses its answer, and is tried again beneath the caller."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        super().put_if_absent(key, data)
        return super().put_if_absent(key, data)


def test_an_own_write_whose_answer_was_lost_is_known_again(append: Append) -> None:
    store = _AnswersLate()
    with pytest.raises(ObjectExists):
        store.put_if_absent("elsewhere", b"x")
    entry = append(store, 1)
    assert read_ledger(store, "m") == [entry]


class _AllReadFirst(MemoryStore):
    """A store in which eight readers have all seen the ledger before any of them may write."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = threading.Barrier(8)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        found = list(super().list(prefix))
        if not found:
            self.barrier.wait()
        return iter(found)


def test_of_eight_threads_that_promote_at_once_one_wins_and_each_loser_is_told_who(entry_fields: Fields) -> None:
    def race(version: int) -> LedgerEntry | PromotionRefused:
        try:
            return append_entry(store, "m", None, **entry_fields(version, by=f"worker {version}"))
        except PromotionRefused as error:
            return error

    store = _AllReadFirst()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(race, range(1, 9)))
    (winner,) = [result for result in results if isinstance(result, LedgerEntry)]
    losers = [result for result in results if isinstance(result, PromotionRefused)]
    assert len(losers) == 7
    assert all(f"{winner.by} was first and promoted version {winner.version}" in str(loser) for loser in losers)
    assert read_ledger(store, "m") == [winner]


RACER = """
import json, sys
from pathlib import Path
from pipelines.errors import PromotionRefused
from pipelines.registry.ledger import append_entry
from pipelines.store.files import FileStore
store, fields = FileStore(Path(sys.argv[1])), json.loads(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    append_entry(store, "m", None, **fields)
    print("won")
except PromotionRefused as error:
    print(error)
"""


def test_of_four_processes_that_promote_at_once_one_wins_and_each_loser_is_told_who(
    tmp_path: Path, entry_fields: Fields
) -> None:
    fields = [json.dumps(entry_fields(version, by=f"worker {version}")) for version in range(1, 5)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for text in fields
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate()[0].strip() for racer in racers]
    (winner,) = [version for version, answer in enumerate(answers, 1) if answer == "won"]
    losers = [answer for answer in answers if answer != "won"]
    assert all(f"worker {winner} was first and promoted version {winner}" in loser for loser in losers)
    assert [entry.version for entry in read_ledger(FileStore(tmp_path), "m")] == [winner]


def test_an_entry_is_stored_in_its_canonical_form(three_promotions: MemoryStore) -> None:
    entry = read_ledger(three_promotions, "m")[0]
    stored = three_promotions.read("m/ledger/00000001.json")
    assert stored == canonical_json({"entry": entry.to_dict(), "sha256": entry.sha256})
