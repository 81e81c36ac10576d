"""Let a version serve again that served before: an entry in the ledger like any other, then the alias."""

from __future__ import annotations

from typing import Literal

from pipelines.errors import RollbackRefused, UsageError
from pipelines.records import Candidate, LedgerEntry, Promoted
from pipelines.registry.alias import Shadow, check_witness, follow_ledger, read_shadow
from pipelines.registry.ledger import append_entry, champion_entry, previous_champion, read_ledger
from pipelines.registry.versions import check_version, get_version
from pipelines.steps.context import Context
from pipelines.steps.model_files import check_model
from pipelines.steps.promote import promoted_by
from pipelines.store.verified import read_record


def roll_back(
    context: Context, to: int | Literal["previous"], reason: str, by: str, serving: int | None = None
) -> Promoted:
    """Append the entry that lets an earlier champion serve, then move the alias.

    `previous` is another version once the rollback is done, so a caller that may try again says what it goes back
    from: with `serving` the same rollback asked for again, after whatever end, gives the same answer.

    Args:
        context: The model's surroundings.
        to: A version, or `previous`: the one that served before the version that serves now.
        reason: Why; kept in the ledger.
        by: Who; kept in the ledger.
        serving: The version to go back from; where left out, whichever serves now.

    Raises:
        RollbackRefused: If the version never served or serves already, another than `serving` serves, or somebody else
            was first.
        UsageError: If there is no reason.
        IntegrityError: If the ledger, or the version's candidate or model, is not what was written.
        RegistryError: If MLflow does not answer, or has not the version.
    """
    if not reason.strip():
        raise UsageError("A rollback needs a reason: found none; allowed: any text. Nothing was changed.")
    model, store, environment = context.spec.name, context.store, context.environment
    shadow = read_shadow(environment, model)
    entries = read_ledger(store, model)
    check_witness(entries, model, shadow)
    entry = _earlier_attempt(entries, shadow, to, reason, by, serving)
    if entry is None:
        target = _target(model, entries, to, serving)
        _check_servable(context, target)
        entry = append_entry(
            store,
            model,
            entries[-1].sha256,
            action="roll_back",
            version=target.version,
            candidate_key=target.candidate_key,
            candidate_sha256=target.candidate_sha256,
            model_sha256=target.model_sha256,
            verdict_key=target.verdict_key,
            verdict_sha256=target.verdict_sha256,
            reason=reason.strip(),
            by=by,
        )
    done = f"version {entry.version} serves by ledger entry {entry.seq}, and the alias was not moved"
    follow_ledger(store, environment, model, outcome=done)
    return promoted_by(entry, read_ledger(store, model))


def _earlier_attempt(
    entries: list[LedgerEntry],
    shadow: Shadow,
    to: int | Literal["previous"],
    reason: str,
    by: str,
    serving: int | None,
) -> LedgerEntry | None:
    """Return the entry that this same rollback has left already, if it has: `previous` must not go back twice.

    Without `serving` only an attempt that was cut off before the alias is known to be the same.
    """
    if len(entries) < 2:
        return None
    before, last = entries[-2:]
    target = previous_champion(entries[:-1])
    wanted = target.version if to == "previous" and target else to
    if (last.action, last.version, last.reason, last.by) != ("roll_back", wanted, reason.strip(), by):
        return None
    is_same = (shadow.witness_seq or 0) < last.seq if serving is None else before.version == serving
    return last if is_same else None


def _target(model: str, entries: list[LedgerEntry], to: int | Literal["previous"], serving: int | None) -> LedgerEntry:
    champion = champion_entry(entries)
    if champion is None:
        raise RollbackRefused(f"{model} has no champion yet: there is nothing to go back from. Nothing was changed.")
    if serving not in (None, champion.version):
        raise RollbackRefused(
            f"Version {serving} of {model} does not serve: version {champion.version} serves since {champion.at} "
            f"(ledger entry {champion.seq}, by {champion.by}). Nothing was changed."
        )
    if to == "previous":
        if (before := previous_champion(entries)) is None:
            raise RollbackRefused(
                f"No version of {model} served before version {champion.version}, which serves. Nothing was changed."
            )
        return before
    if to == champion.version:
        raise RollbackRefused(
            f"Version {to} of {model} serves already, since {champion.at} (ledger entry {champion.seq}). "
            "Nothing was changed."
        )
    served = [entry for entry in entries if entry.version == to]
    if not served:
        known = ", ".join(str(version) for version in sorted({entry.version for entry in entries}))
        raise RollbackRefused(f"Version {to} of {model} never served; versions that did: {known}. Nothing was changed.")
    return served[-1]


def _check_servable(context: Context, target: LedgerEntry) -> None:
    """Raise unless the version's records and model, in the store and in MLflow, are what they were, and it loads."""
    candidate = read_record(context.store, target.candidate_key, Candidate, target.candidate_sha256)
    version = get_version(context.environment, target.model, target.version)
    check_version(context.environment, version, candidate)
    check_model(context.store, candidate.model_key, target.model_sha256, loads=True)
