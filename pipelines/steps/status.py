"""Say which version of a model serves, since when and by whose hand, and which retraining is to come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pipelines.errors import TandemError
from pipelines.records import Candidate, Evaluation, LedgerEntry, Verdict
from pipelines.registry.alias import check_witness, read_shadow
from pipelines.registry.decisions import last_decision, state_after
from pipelines.registry.ledger import champion_entry, previous_champion, read_ledger
from pipelines.steps.context import Context
from pipelines.store.verified import read_record

T = TypeVar("T")


def status(context: Context) -> dict[str, Any]:
    """Return what serves, as plain JSON values. It changes nothing, and tells of a fault instead of raising it.

    Returns:
        `model`; `champion` (None before the first promotion): version, since, by, action, reason, ledger_seq,
        candidate_sha256, algorithm, and its holdout metrics over all rows; `previous_version`; `num_entries` in the
        ledger; `alias_version` in MLflow, None where unknown or unset; `pending_retraining` (None where none is):
        run_id, run_after, as_of, num_requests, why, by; `problems`, empty when all is well.
    """
    model, problems = context.spec.name, list[str]()

    def attempt(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except TandemError as error:
            problems.append(str(error))
            return otherwise

    entries = attempt(lambda: read_ledger(context.store, model), list[LedgerEntry]())
    champion, previous = champion_entry(entries), previous_champion(entries)
    shadow = attempt(lambda: read_shadow(context.environment, model), None)
    version = champion.version if champion else None
    if shadow is not None and not problems:
        attempt(lambda: check_witness(entries, model, shadow), None)
        if shadow.version != version:
            problems.append(
                f"The alias in MLflow stands at version {shadow.version}, and by the ledger version {version} serves; "
                "the next run moves it back."
            )
    pending = attempt(lambda: state_after(last_decision(context.store, model)).pending, None)
    return {
        "model": model,
        "champion": attempt(lambda: _champion(context, champion), None) if champion else None,
        "previous_version": previous.version if previous else None,
        "num_entries": len(entries),
        "alias_version": shadow.version if shadow else None,
        "pending_retraining": pending.to_dict() if pending else None,
        "problems": problems,
    }


def _champion(context: Context, entry: LedgerEntry) -> dict[str, Any]:
    verdict = read_record(context.store, entry.verdict_key, Verdict, entry.verdict_sha256)
    candidate = read_record(context.store, entry.candidate_key, Candidate, entry.candidate_sha256)
    key = f"{entry.model}/evaluations/{verdict.evaluation_sha256}.json"
    evaluation = read_record(context.store, key, Evaluation, verdict.evaluation_sha256)
    return {
        "version": entry.version,
        "since": entry.at,
        "by": entry.by,
        "action": entry.action,
        "reason": entry.reason,
        "ledger_seq": entry.seq,
        "candidate_sha256": entry.candidate_sha256,
        "snapshot_id": candidate.snapshot_id,
        "algorithm": candidate.algorithm,
        "metrics": [metric.to_dict() for metric in evaluation.metrics if metric.slice == "all"],
    }
