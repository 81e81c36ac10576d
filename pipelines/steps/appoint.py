"""Fix who answers in a scoring run: the champion by the ledger, and beside it a challenger where the spec wants one."""

from __future__ import annotations

from pipelines.errors import ScoringRefused
from pipelines.records import Appointed, Appointee, LedgerEntry, WindowRequest
from pipelines.registry.champion import candidate_of
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.serving.windows import moment
from pipelines.steps.context import Context

NOT_SCORED = "Nothing was scored"


def appoint(context: Context, request: WindowRequest) -> Appointed:
    """Return the versions that answer; from here on a promotion or a rollback changes nothing in this run.

    MLflow is asked only where the spec gives a challenger a share of the rows.

    Raises:
        ScoringRefused: If no version serves.
        UsageError: If the request's moment is no time.
        IntegrityError: If the ledger, or a record of who is to answer, is gone or not what was written.
        RegistryError: If MLflow is asked for a challenger and does not answer.
    """
    spec, store = context.spec, context.store
    entries = read_ledger(store, spec.name)
    entry = champion_entry(entries)
    if entry is None:
        raise ScoringRefused(
            f"{spec.name}: no version serves yet, so nobody can answer. {NOT_SCORED}; train a champion first: "
            f"tandem run {spec.name}."
        )
    candidate = candidate_of(store, entry, NOT_SCORED)
    share = spec.scoring.canary_share
    return Appointed(
        model=spec.name,
        requested_at=moment(request.as_of).isoformat(),
        champion=Appointee(
            version=entry.version,
            ledger_sha256=entry.sha256,
            candidate_key=entry.candidate_key,
            candidate_sha256=entry.candidate_sha256,
        ),
        snapshot_id=candidate.snapshot_id,
        canary=_canary(context, entries) if share else None,
        canary_share=share,
        shards=spec.scoring.shards,
    )


def _canary(context: Context, entries: list[LedgerEntry]) -> Appointee | None:
    from pipelines.registry.challenger import newest_challenger  # MLflow: seconds, which most runs need not spend

    found = newest_challenger(context.environment, context.store, context.spec.name, entries)
    if found is None:
        return None
    version, candidate = found
    return Appointee(
        version=version,
        ledger_sha256=None,
        candidate_key=f"{context.spec.name}/candidates/{candidate.sha256}.json",
        candidate_sha256=candidate.sha256,
    )
