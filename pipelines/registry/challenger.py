"""The challenger that waits: registered by a verdict of promote or hold, and not yet champion."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.errors import IntegrityError
from pipelines.records import Candidate, LedgerEntry, Verdict
from pipelines.registry.versions import CANDIDATE_TAG, VERDICT_TAG, newer_versions
from pipelines.spec import Environment
from pipelines.store.base import Store
from pipelines.store.verified import read_record


def newest_challenger(
    environment: Environment, store: Store, model: str, entries: Sequence[LedgerEntry]
) -> tuple[int, Candidate] | None:
    """Return number and candidate of the newest version that may still become champion, or None.

    A version that is older than one that has served was passed over, and is no challenger any more; one whose newest
    verdict is reject is none either.

    Args:
        environment: Where MLflow is.
        store: Where candidates and verdicts are.
        model: The model's name.
        entries: Its ledger.

    Raises:
        RegistryError: If MLflow does not answer.
        IntegrityError: If the challenger's record or verdict is not what was written.
        ObjectMissing: If one is gone.
    """
    newest_served = max((entry.version for entry in entries), default=0)
    for version in newer_versions(environment, model, newest_served):
        verdict_sha256, candidate_sha256 = version.tags.get(VERDICT_TAG), version.tags.get(CANDIDATE_TAG)
        if verdict_sha256 is None or candidate_sha256 is None:  # made by hand: nobody judged it
            continue
        verdict = read_record(store, f"{model}/verdicts/{verdict_sha256}.json", Verdict, verdict_sha256)
        if verdict.candidate_sha256 != candidate_sha256:
            raise IntegrityError(
                f"Version {version.number} of {model} in MLflow names candidate {candidate_sha256[:12]}, and its "
                f"verdict is on {verdict.candidate_sha256[:12]}. It was not used."
            )
        if verdict.outcome in {"promote", "hold"}:
            key = f"{model}/candidates/{candidate_sha256}.json"
            return version.number, read_record(store, key, Candidate, candidate_sha256)
    return None
