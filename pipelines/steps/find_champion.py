"""Say which version served when a rollback was asked for: it goes back from that one, and from no other."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime

from pipelines.errors import RollbackRefused
from pipelines.records import Promoted
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.steps.context import Context
from pipelines.steps.promote import promoted_by


def find_champion(context: Context, as_of: AwareDatetime) -> Promoted:
    """Return what made the champion of a moment champion; a moment that is over has the same one for ever.

    By it `roll_back` goes back once however often a run is tried again, and not at all where another version has come
    up since somebody asked. It reads the ledger alone, for a champion that is not whole is one to go back from.

    Args:
        context: The model's surroundings.
        as_of: When the rollback was asked for, by the clock of who took the wish.

    Raises:
        RollbackRefused: If no version served then.
        IntegrityError: If the ledger is not what was written.
        StoreError: If the store does not answer.
    """
    entries = read_ledger(context.store, context.spec.name)
    entry = champion_entry([entry for entry in entries if datetime.fromisoformat(entry.at) <= as_of])
    if entry is None:
        raise RollbackRefused(
            f"{context.spec.name} had no champion at {as_of.isoformat()}: there is nothing to go back from. "
            "Nothing was changed."
        )
    return promoted_by(entry, entries)
