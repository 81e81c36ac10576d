"""Let a version serve again that served before: an entry in the ledger like any other, then the alias."""

from __future__ import annotations

from typing import Literal

from pipelines.classic.estimators.persistence import load_model
from pipelines.errors import RollbackRefused, UsageError
from pipelines.records import Candidate, LedgerEntry, Promoted
from pipelines.registry.alias import Shadow, check_witness, follow_ledger, read_shadow
from pipelines.registry.ledger import append_entry, champion_entry, previous_champion, read_ledger
from pipelines.registry.versions import check_version, get_version
from pipelines.steps.context import Context
from pipelines.steps.promote import promoted_by
from pipelines.store.verified import fetch_verified, read_record


def roll_back(context: Context, to: int | Literal["previous"], reason: str, by: str) -> Promoted:
    """Append the entry that lets an earlier champion serve, then move the alias.

    Args:
        context: The model's surroundings.
        to: A version, or `previous`: the one that served before the version that serves now.
        reason: Why; kept in the ledger.
        by: Who; kept in the ledger.

    Raises:
        RollbackRefused: If the version never served or serves already, or somebody else was first.
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
    entry = _cut_off_attempt(entries, shadow, reason, by)
    if entry is None:
        target = _target(model, entries, to)
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


def _cut_off_attempt(entries: list[LedgerEntry], shadow: Shadow, reason: str, by: str) -> LedgerEntry | None:
    """Return the entry of this same rollback, cut off before the alias: `previous` must not go back twice."""
    if not entries or (shadow.witness_seq or 0) >= entries[-1].seq:
        return None
    last = entries[-1]
    return last if (last.action, last.reason, last.by) == ("roll_back", reason.strip(), by) else None


def _target(model: str, entries: list[LedgerEntry], to: int | Literal["previous"]) -> LedgerEntry:
    champion = champion_entry(entries)
    if champion is None:
        raise RollbackRefused(f"{model} has no champion yet: there is nothing to go back from. Nothing was changed.")
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
    with fetch_verified(context.store, candidate.model_key, target.model_sha256) as path:
        load_model(path)
