"""Walk from a version back to the data and code that made it, and verify every hash on the way."""

from __future__ import annotations

from typing import Any

from pipelines.errors import UsageError
from pipelines.records import LedgerEntry
from pipelines.registry.alias import check_witness, read_shadow
from pipelines.registry.chain import Chain
from pipelines.registry.ledger import champion_entry, entry_key, read_ledger
from pipelines.registry.versions import get_version
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.explain_links import follow_data, follow_evidence, follow_model
from pipelines.steps.explain_tuning import follow_tuning


def explain(context: Context, version: int | None = None) -> dict[str, Any]:
    """Return the history of a version as plain JSON values: ledger, verdict, evidence, model, code and data.

    A link that cannot be verified says why, and the walk goes on from what the other links name.

    Args:
        context: The model's surroundings.
        version: A version in MLflow, also one that never served; the champion where left out.

    Returns:
        `model`, `version`, `serves`, `verified` (every link), `problems`, and `links`: see `Chain`.

    Raises:
        UsageError: If there is no such version, or no champion yet.
    """
    model, chain = context.spec.name, Chain()
    entries = chain.follow("ledger", lambda: _ledger(context), lambda found: {"num_entries": len(found)}) or []
    champion = champion_entry(entries)
    number = version if version is not None else champion.version if champion else None
    if number is None:
        raise UsageError(f"{model} has no champion to explain. {' '.join(chain.problems)}".strip())
    entry = next((one for one in reversed(entries) if one.version == number), None)
    if entry is not None:
        chain.follow("ledger entry", lambda: entry, LedgerEntry.to_dict, entry_key(model, entry.seq), entry.sha256)
    registered = chain.follow(
        "version in MLflow",
        lambda: get_version(context.environment, model, number),
        lambda found: {"version": found.number, "uri": found.source, "tags": found.tags},
    )
    if entry is None and registered is None:
        raise UsageError(f"{model} has no version {number} to explain. {' '.join(chain.problems)}")
    candidate = follow_evidence(context, chain, entry, registered)
    if candidate is not None:
        follow_model(context, chain, candidate, registered)
        if isinstance(context.spec, LlmSpec):
            follow_tuning(context, chain, candidate)
        follow_data(context, chain, candidate)
    return {
        "model": model,
        "version": number,
        "serves": champion is not None and champion.version == number,
        "verified": chain.is_whole,
        "problems": chain.problems,
        "links": chain.links,
    }


def _ledger(context: Context) -> list[LedgerEntry]:
    entries = read_ledger(context.store, context.spec.name)
    check_witness(entries, context.spec.name, read_shadow(context.environment, context.spec.name))
    return entries
