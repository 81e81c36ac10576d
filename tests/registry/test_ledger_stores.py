from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipelines.errors import IntegrityError, PromotionRefused
from pipelines.records import LedgerEntry
from pipelines.registry.ledger import append_entry, entry_key, read_ledger
from pipelines.store import Store


def test_entries_come_back_in_order(store: Store, append: Callable[..., LedgerEntry]) -> None:
    appended = [append(store, version) for version in range(1, 13)]
    assert read_ledger(store, "m") == appended


def test_of_six_appenders_at_once_one_wins(store: Store, entry_fields: Callable[..., dict[str, Any]]) -> None:
    def contend(version: int) -> LedgerEntry | PromotionRefused:
        try:
            return append_entry(store, "m", None, **entry_fields(version, by=f"worker {version}"))
        except PromotionRefused as error:
            return error

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(contend, range(1, 7)))
    (winner,) = [answer for answer in answers if isinstance(answer, LedgerEntry)]
    assert all(f"{winner.by} was first" in str(answer) for answer in answers if answer is not winner)
    assert read_ledger(store, "m") == [winner]


def test_a_missing_and_an_altered_entry_are_named(store: Store, append: Callable[..., LedgerEntry]) -> None:
    for version in (1, 2, 3):
        append(store, version)
    key = entry_key("m", 3)
    store.write(key, store.read(key).replace(b"ada", b"eve"))
    with pytest.raises(IntegrityError, match=key):
        read_ledger(store, "m")
    store.delete(entry_key("m", 2))
    with pytest.raises(IntegrityError, match=r"00000002.json is missing"):
        read_ledger(store, "m")
