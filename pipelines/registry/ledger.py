"""The ledger: an append-only, hash-chained record of which version served when, why, and by whose hand.

It is a `SealedChain` in the folder `<model>/ledger`. What such a chain cannot show by itself is a last entry taken away
whole, or a rewritten tail. `pipelines.registry.alias` therefore leaves the ledger's head in MLflow as a witness, and
each evaluation names the entry of the champion it was held against. Who would rewrite history unseen must be able to
write to the store and to MLflow both; from somebody who can, nothing here protects.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from pipelines.errors import IntegrityError, PromotionRefused, Refused, RollbackRefused
from pipelines.records import LedgerEntry
from pipelines.registry.sealed import SealedChain
from pipelines.store.base import Store

Action = Literal["promote", "roll_back"]
_CHAIN = SealedChain(LedgerEntry, "ledger", "Ledger entry", "in the ledger")


def entry_key(model: str, seq: int) -> str:
    """Return the key of an entry.

    >>> entry_key("flight_delay", 1)
    'flight_delay/ledger/00000001.json'
    """
    return _CHAIN.key(model, seq)


def read_ledger(store: Store, model: str) -> list[LedgerEntry]:
    """Return all entries of a model, oldest first, with order, chain, seals and form of each verified.

    Raises:
        IntegrityError: Names the first bad entry, what was expected and what was found.
        StoreError: If the store does not answer.
    """
    return _CHAIN.read(store, model)


def walk_ledger(store: Store, model: str) -> Iterator[LedgerEntry | IntegrityError]:
    """Yield each entry, oldest first, and an `IntegrityError` at the place of each that is not what it should be.

    The chain goes on from what was found, so that one altered entry does not condemn all that come after it.
    """
    return _CHAIN.walk(store, model)


def last_entry(store: Store, model: str) -> LedgerEntry | None:
    """Return the entry of the version that serves, None where none does; nothing before it is read or verified.

    Raises:
        IntegrityError: If that entry is not what was written.
        StoreError: If the store does not answer.
    """
    return _CHAIN.head(store, model)


def champion_entry(entries: list[LedgerEntry]) -> LedgerEntry | None:
    """Return the entry that made the serving version serve, or None before the first promotion."""
    return entries[-1] if entries else None


def previous_champion(entries: list[LedgerEntry]) -> LedgerEntry | None:
    """Return the entry of the version that served before the one that serves now came up, or None.

    Promotions pile up and a rollback takes from the pile: after v1, v2, v3 and a rollback to v2, the previous is v1.
    """
    pile: list[LedgerEntry] = []
    for entry in entries:
        below = [index for index, other in enumerate(pile) if other.version == entry.version]
        if below and (entry.action == "roll_back" or below[-1] == len(pile) - 1):
            del pile[below[-1] :]
        pile.append(entry)
    return pile[-2] if len(pile) > 1 else None


class SetAside(NamedTuple):
    """A model that a rollback took from service: the entry by which it last served, and the rollback's."""

    served: LedgerEntry
    rollback: LedgerEntry


def models_set_aside(entries: list[LedgerEntry]) -> dict[str, SetAside]:
    """Return the models that rollbacks took from service and that have not served since, by the hash of the model.

    A rollback sets aside all that came up since the version it goes back to last served: after v1, v2, v3 and a
    rollback to v1, these are v2 and v3. The hash of the model tells them, for trained again on the same data the same
    model may come as another candidate, and so under another version.
    """
    found: dict[str, SetAside] = {}
    for entry in entries:
        if entry.action == "roll_back":
            before = entries[: entry.seq - 1]
            last_served = max((other.seq for other in before if other.version == entry.version), default=0)
            found = {other.model_sha256: SetAside(other, entry) for other in before[last_served:]} | found
        found.pop(entry.model_sha256, None)
    return found


def append_entry(
    store: Store,
    model: str,
    expected_head_sha256: str | None,
    *,
    action: Action,
    version: int,
    candidate_key: str,
    candidate_sha256: str,
    model_sha256: str,
    verdict_key: str,
    verdict_sha256: str,
    reason: str,
    by: str,
) -> LedgerEntry:
    """Append the entry that makes `version` serve, provided the ledger still ends where the caller last saw it end.

    Args:
        store: Where the ledger is.
        model: Whose ledger.
        expected_head_sha256: The hash of the last entry the caller saw, None for an empty ledger.
        action: What was done.
        version: The MLflow version that serves from now on.
        candidate_key: The candidate's record.
        candidate_sha256: Its hash.
        model_sha256: The hash of its model file.
        verdict_key: The verdict that let it pass.
        verdict_sha256: Its hash.
        reason: Why, in words.
        by: Who.

    Raises:
        PromotionRefused, RollbackRefused: Somebody else was first; says who, when, and which version. By `action`.
        IntegrityError: The ledger as it stands is broken; nothing is appended to it.
    """
    entries = read_ledger(store, model)
    head = entries[-1] if entries else None
    if (head.sha256 if head else None) != expected_head_sha256:
        raise _lost(action, version, head)
    entry = LedgerEntry(
        seq=len(entries) + 1,
        previous_sha256=expected_head_sha256,
        model=model,
        action=action,
        version=version,
        candidate_key=candidate_key,
        candidate_sha256=candidate_sha256,
        model_sha256=model_sha256,
        verdict_key=verdict_key,
        verdict_sha256=verdict_sha256,
        reason=reason,
        by=by,
        at=datetime.now(UTC).isoformat(),
    )
    winner = _CHAIN.append(store, entry)
    if winner != entry:
        raise _lost(action, version, winner)
    return entry


def _lost(action: Action, version: int, head: LedgerEntry | None) -> Refused:
    if head is None:
        return PromotionRefused(f"Version {version} does not serve: the ledger is empty, and an entry was expected.")
    refusal = RollbackRefused if action == "roll_back" else PromotionRefused
    verb = "rolled back to" if head.action == "roll_back" else "promoted"
    return refusal(
        f"Version {version} does not serve: {head.by} was first and {verb} version {head.version} at {head.at} "
        f"(ledger entry {head.seq}). Nothing was changed; evaluate against version {head.version} and try again."
    )
