from __future__ import annotations

import pytest

from pipelines.errors import ObjectExists
from pipelines.monitoring.events import claim_key
from pipelines.records.monitoring import RetrainingRequest
from pipelines.store.memory import MemoryStore


def asked(note: str = "", **evidence: str) -> RetrainingRequest:
    return RetrainingRequest(model="m", reason="event", evidence=evidence, note=note)


def test_a_key_stands_for_the_same_event_however_often_it_is_sent() -> None:
    store = MemoryStore()
    claim_key(store, "m", "k", [asked(a="1")])
    claim_key(store, "m", "k", [asked(a="1").model_copy(update={"by": "somebody else", "at": "later"})])


@pytest.mark.parametrize("other", [asked(a="2"), asked("another note", a="1")], ids=["evidence", "note"])
def test_a_key_stands_for_no_other_event(other: RetrainingRequest) -> None:
    store = MemoryStore()
    claim_key(store, "m", "k", [asked(a="1")])
    with pytest.raises(ObjectExists, match="another event of m"):
        claim_key(store, "m", "k", [other])
    claim_key(store, "m", "another key", [other])


def test_another_model_has_keys_of_its_own() -> None:
    store = MemoryStore()
    claim_key(store, "m", "k", [asked(a="1")])
    claim_key(store, "n", "k", [asked(a="2")])
