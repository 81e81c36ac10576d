"""The champion that a candidate is held against, by the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.records import Candidate, LedgerEntry
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.store.base import Store
from pipelines.store.verified import read_record

Model = TypeVar("Model")

NOT_JUDGED = "The candidate was not judged, since nothing could be compared"


@dataclass(frozen=True)
class Champion(Generic[Model]):
    """What serves now: its ledger entry, its model, and how it came to know the holdout, if it does.

    `model` is what its half answers by: a fitted estimator, or the record of weights that are in the store.
    """

    entry: LedgerEntry
    model: Model
    saw_holdout: str | None


def champion_against(store: Store, ours: Candidate) -> tuple[LedgerEntry, Candidate] | None:
    """Return the ledger entry and the record of the champion that a candidate has to beat; None where there is none.

    For a candidate that was promoted and serves it is the one that served before: a run that is repeated finds the
    evidence it found, and a model is never held against itself.

    Raises:
        IntegrityError: If the ledger or the champion's record is gone or not what was written.
    """
    entries = read_ledger(store, ours.model)
    while entries and entries[-1].action == "promote" and entries[-1].candidate_sha256 == ours.sha256:
        entries = entries[:-1]
    entry = champion_entry(entries)
    return None if entry is None else (entry, candidate_of(store, entry, NOT_JUDGED))


def candidate_of(store: Store, entry: LedgerEntry, outcome: str) -> Candidate:
    """Return the record of the candidate that a ledger entry made champion.

    Raises:
        IntegrityError: If it is gone or not what was written; says `outcome`.
    """
    with whole_champion(entry, outcome):
        candidate = read_record(store, entry.candidate_key, Candidate, entry.candidate_sha256)
        if candidate.model_sha256 != entry.model_sha256:
            raise IntegrityError(
                f"its record names model {candidate.model_sha256}, and the ledger names {entry.model_sha256}."
            )
        return candidate


def whole_champion(entry: LedgerEntry, outcome: str = NOT_JUDGED) -> AbstractContextManager[None]:
    """Say of anything of the champion that is gone or altered that it is the champion's; see `whole_version`."""
    return whole_version(f"{entry.model}: champion version {entry.version} (ledger entry {entry.seq})", outcome)


@contextmanager
def whole_version(version: str, outcome: str) -> Iterator[None]:
    """Say of anything that is gone or altered which version it belongs to, what came of it, and what can be done.

    Raises:
        IntegrityError: In place of `ObjectMissing` and `IntegrityError` of what is read within.
    """
    try:
        yield
    except (ObjectMissing, IntegrityError) as error:
        raise IntegrityError(
            f"{version} is not whole: {error} {outcome}; put the object back, or roll back to a whole version."
        ) from error
