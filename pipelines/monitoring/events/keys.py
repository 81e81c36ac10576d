"""Let a sender's Idempotency-Key stand for one event, and no other.

The key is a part of the evidence, so that equal events are one request without any of this; what is kept here only
tells that a key has been used for something else.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import ObjectExists
from pipelines.records import canonical_json, sha256_of
from pipelines.records.monitoring import RetrainingRequest
from pipelines.store.base import Store
from pipelines.store.verified import put_first


def claim_key(store: Store, model: str, key: str, requests: Sequence[RetrainingRequest]) -> None:
    """Keep that `key` stands for these requests of a model; again for the same ones changes nothing.

    Raises:
        ObjectExists: If it stands for others.
    """
    claimed = canonical_json({"key": key, "asked": [[each.id, each.note] for each in requests]})
    name = f"{model}/event_keys/{sha256_of(key.encode())}.json"
    if put_first(store, name, claimed) != claimed:
        raise ObjectExists(
            f"Idempotency-Key {key!r} was used for another event of {model} before. Nothing was done; "
            "give each event a key of its own."
        )
