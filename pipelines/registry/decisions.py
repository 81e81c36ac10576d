"""The chain of decisions about retraining: what was asked, found or begun, what came of it, why, and by whose hand.

It is a `SealedChain` in the folder `<model>/decisions`, apart from the ledger, so that no promotion is lost against the
notice that monitoring saw nothing. Each entry holds the whole state that the next decision needs: whoever decides reads
the last entry only, and wins or loses by writing the next.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from pipelines.errors import IntegrityError, ObjectExists, StoreError
from pipelines.records import DecisionEntry, DecisionState, RetrainingRequest
from pipelines.registry.sealed import SealedChain
from pipelines.store.base import Store

ROUNDS = 100
LONGEST_PAUSE_SECONDS = 0.25
_CHAIN = SealedChain(DecisionEntry, "decisions", "Decision", "among the decisions")

Draft = Callable[[DecisionState, Sequence[DecisionEntry]], dict[str, Any] | None]
"""Given the state as it stands and what was appended since the caller's head, the fields of the next entry or None."""


def decision_key(model: str, seq: int) -> str:
    """Return the key of an entry.

    >>> decision_key("flight_delay", 1)
    'flight_delay/decisions/00000001.json'
    """
    return _CHAIN.key(model, seq)


def request_key(model: str, request_id: str) -> str:
    """Return the key of a request, whether it was decided or not."""
    return f"{model}/requests/{request_id}.json"


def read_decisions(store: Store, model: str) -> list[DecisionEntry]:
    """Return all decisions of a model, oldest first, each verified. Raises `IntegrityError`, `StoreError`."""
    return _CHAIN.read(store, model)


def walk_decisions(store: Store, model: str) -> Iterator[DecisionEntry | IntegrityError]:
    """Yield each decision, oldest first, and an `IntegrityError` at the place of each that is not what it should be."""
    return _CHAIN.walk(store, model)


def last_decision(store: Store, model: str) -> DecisionEntry | None:
    """Return the last decision, None where there is none; nothing before it is read. Raises `IntegrityError`."""
    return _CHAIN.head(store, model)


def decisions_back(store: Store, model: str, head: DecisionEntry | None) -> Iterator[DecisionEntry]:
    """Yield the decisions from `head` back to the first, each verified. Raises `IntegrityError`."""
    return _CHAIN.back(store, model, head)


def append_decision(store: Store, model: str, head: DecisionEntry | None, draft: Draft) -> DecisionEntry | None:
    """Append what `draft` makes of the state; where others were first, read what they wrote and draft again.

    Args:
        store: Where the chain is.
        model: Whose chain.
        head: The last entry that the caller saw.
        draft: Gives all fields of the entry but its place in the chain, or None where nothing is left to be said.

    Returns:
        The entry as it was appended, or None where `draft` gave None.

    Raises:
        IntegrityError: If the chain is broken where it is read; nothing is appended to it.
        StoreError: If the store does not answer, or others were first too often.
    """
    missed: list[DecisionEntry] = []
    for number in range(ROUNDS):
        last = missed[-1] if missed else head
        fields = draft(state_after(last), missed)
        if fields is None:
            return None
        entry = DecisionEntry(
            seq=last.seq + 1 if last else 1, previous_sha256=last.sha256 if last else None, model=model, **fields
        )
        if _CHAIN.append(store, entry) == entry:
            return entry
        time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.005 * (number + 1))))  # noqa: S311 -- no secret
        missed += _CHAIN.since(store, model, last)
    raise StoreError(
        f"{model}: others were first {ROUNDS} times to write the next decision. Nothing of this one was written; what "
        "was asked is stored, and the next look decides it."
    )


def state_after(head: DecisionEntry | None) -> DecisionState:
    """Return what is known after an entry."""
    return head.state if head else DecisionState()


def is_pending(store: Store, model: str, run_id: str | None) -> bool:
    """Tell whether a run was made and has not begun: only such a run may Airflow be told of again.

    Raises:
        IntegrityError: If the last decision is not what was written.
    """
    pending = state_after(last_decision(store, model)).pending
    return pending is not None and pending.run_id == run_id


def find_requests(
    store: Store, model: str, head: DecisionEntry | None, request_ids: Iterable[str]
) -> dict[str, DecisionEntry]:
    """Return the entries up to `head` that decided these requests, by request; it reads back until all are found."""
    wanted, found = set(request_ids), dict[str, DecisionEntry]()
    if wanted:
        for entry in decisions_back(store, model, head):
            found |= dict.fromkeys(wanted.intersection(entry.requests), entry)
            if len(found) == len(wanted):
                break
    return found


def find_begun(store: Store, model: str, head: DecisionEntry | None, run_id: str) -> DecisionEntry | None:
    """Return the entry up to `head` by which a run began, or None."""
    entries = decisions_back(store, model, head)
    return next((entry for entry in entries if entry.action == "begun" and entry.run_id == run_id), None)


def put_request(store: Store, request: RetrainingRequest) -> bool:
    """Store a request under its id; return False where it is there already. Raises `StoreError`."""
    try:
        store.put_if_absent(request_key(request.model, request.id), request.to_bytes())
    except ObjectExists:
        return False
    return True


def stored_request_ids(store: Store, model: str) -> list[str]:
    """Return the ids of all requests that are stored, decided or not. Raises `StoreError`."""
    return [info.key.rsplit("/", 1)[1].removesuffix(".json") for info in store.list(f"{model}/requests/")]


def read_request(store: Store, model: str, request_id: str) -> RetrainingRequest:
    """Return a stored request. Raises `ObjectMissing`, and `IntegrityError` where it is another than its id says."""
    key = request_key(model, request_id)
    try:
        request = RetrainingRequest.model_validate_json(store.read(key))
    except ValidationError as error:
        raise IntegrityError(f"{key} cannot be read as a request: {str(error).splitlines()[0]}.") from error
    if (request.id, request.model) != (request_id, model):
        raise IntegrityError(f"{key} was altered: what it asks has the id {request.id}. It was not used.")
    return request
