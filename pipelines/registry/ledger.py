"""The ledger: an append-only, hash-chained record of which version served when, why, and by whose hand.

Entry N is the object `<model>/ledger/<N, eight digits>.json`, put only if absent: of any number of promoters exactly
one writes it. It holds the canonical JSON of `{"entry": …, "sha256": …}`: each entry names the hash of the one before
it, and its own hash seals the last one, which no successor names yet.

What this shows: any entry altered, taken from the middle, put in another's place or written in another form. What it
cannot show by itself: a last entry taken away whole, or a tail rewritten by somebody who can write to the store and
computes the hashes anew. `pipelines.registry.alias` therefore leaves the ledger's head in MLflow as a witness, and each
evaluation names the entry of the champion it was held against. Who would rewrite history unseen must be able to write
to the store and to MLflow both; from somebody who can, nothing here protects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from pydantic import ValidationError

from pipelines.errors import IntegrityError, ObjectExists, ObjectMissing, PromotionRefused, Refused, RollbackRefused
from pipelines.records import LedgerEntry, canonical_json
from pipelines.store.base import Store

Action = Literal["promote", "roll_back"]
READERS = 16


def entry_key(model: str, seq: int) -> str:
    """Return the key of an entry.

    >>> entry_key("flight_delay", 1)
    'flight_delay/ledger/00000001.json'
    """
    return f"{model}/ledger/{seq:08d}.json"


def read_ledger(store: Store, model: str) -> list[LedgerEntry]:
    """Return all entries of a model, oldest first, with order, chain, seals and form of each verified.

    Raises:
        IntegrityError: Names the first bad entry, what was expected and what was found.
        StoreError: If the store does not answer.
    """
    entries: list[LedgerEntry] = []
    for item in walk_ledger(store, model):
        if isinstance(item, IntegrityError):
            raise item
        entries.append(item)
    return entries


def walk_ledger(store: Store, model: str) -> Iterator[LedgerEntry | IntegrityError]:
    """Yield each entry, oldest first, and an `IntegrityError` at the place of each that is not what it should be.

    The chain goes on from what was found, so that one altered entry does not condemn all that come after it.
    """
    expected_previous: str | None = None
    broken = False
    keys = [entry_key(model, seq) for seq in range(1, _last_seq(store, model) + 1)]
    for seq, (key, data) in enumerate(zip(keys, _read_all(store, keys), strict=True), start=1):
        try:
            entry = _parse(key, data)
            _check(key, entry, model, seq)
        except IntegrityError as error:
            yield error
            broken = True
            continue
        if not broken and entry.previous_sha256 != expected_previous:
            yield IntegrityError(
                f"Ledger entry {key} does not follow the entry before it: it names {entry.previous_sha256} as that "
                f"entry's hash, and the hash is {expected_previous}."
            )
        else:
            yield entry
        expected_previous, broken = entry.sha256, False


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
    try:
        store.put_if_absent(entry_key(model, entry.seq), seal(entry))
    except ObjectExists:
        winner = read_ledger(store, model)[entry.seq - 1]
        if winner == entry:  # our own write, answered late and tried again beneath us
            return entry
        raise _lost(action, version, winner) from None
    return entry


def seal(entry: LedgerEntry) -> bytes:
    """Return the bytes under which an entry is stored."""
    return canonical_json({"entry": entry.to_dict(), "sha256": entry.sha256})


def _last_seq(store: Store, model: str) -> int:
    last = 0
    for info in store.list(f"{model}/ledger/"):
        name = info.key.rsplit("/", 1)[1].removesuffix(".json")
        if not name.isdigit() or info.key != entry_key(model, int(name)):
            raise IntegrityError(
                f"{info.key} lies in the ledger and is no entry; expected names such as 00000001.json."
            )
        last = max(last, int(name))
    return last


def _read_all(store: Store, keys: list[str]) -> list[bytes | None]:
    """Return the objects' bytes in order, None for one that is gone; many at once, for S3 answers each in its time."""

    def read(key: str) -> bytes | None:
        try:
            return store.read(key)
        except ObjectMissing:
            return None

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, keys))


def _parse(key: str, data: bytes | None) -> LedgerEntry:
    if data is None:
        raise IntegrityError(f"Ledger entry {key} is missing: later entries exist, so it was taken away.")
    try:
        sealed = json.loads(data)
        entry = LedgerEntry.from_dict(sealed["entry"])
        claimed = sealed["sha256"]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise IntegrityError(f"Ledger entry {key} cannot be read as an entry: {str(error).splitlines()[0]}.") from error
    if claimed != entry.sha256:
        raise IntegrityError(f"Ledger entry {key} was altered: expected hash {claimed}, found {entry.sha256}.")
    if data != seal(entry):
        raise IntegrityError(f"Ledger entry {key} is not in canonical form: its bytes are not those that were written.")
    return entry


def _check(key: str, entry: LedgerEntry, model: str, seq: int) -> None:
    if (entry.model, entry.seq) != (model, seq):
        raise IntegrityError(
            f"Ledger entry {key} is out of place: expected entry {seq} of {model}, "
            f"found entry {entry.seq} of {entry.model}."
        )


def _lost(action: Action, version: int, head: LedgerEntry | None) -> Refused:
    if head is None:
        return PromotionRefused(f"Version {version} does not serve: the ledger is empty, and an entry was expected.")
    refusal = RollbackRefused if action == "roll_back" else PromotionRefused
    verb = "rolled back to" if head.action == "roll_back" else "promoted"
    return refusal(
        f"Version {version} does not serve: {head.by} was first and {verb} version {head.version} at {head.at} "
        f"(ledger entry {head.seq}). Nothing was changed; evaluate against version {head.version} and try again."
    )
