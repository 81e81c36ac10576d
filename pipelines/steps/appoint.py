"""Fix who answers in a scoring run: the champion by the ledger, and beside it a challenger where the spec wants one."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.errors import ScoringRefused, UsageError
from pipelines.records import Appointed, Appointee, LedgerEntry, ScoreRequest
from pipelines.registry.champion import candidate_of
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.steps.context import Context

NOT_SCORED = "Nothing was scored"


def appoint(context: Context, request: ScoreRequest) -> Appointed:
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
        requested_at=moment(request.as_of),
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


def moment(as_of: str | None) -> str:
    """Return a moment as ISO 8601 in UTC; the present for None, and UTC where it names no zone.

    >>> moment("2013-05-01T02:00:00+02:00")
    '2013-05-01T00:00:00+00:00'

    Raises:
        UsageError: If it is no time.
    """
    if as_of is None:
        return datetime.now(UTC).isoformat()
    try:
        found = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise UsageError(
            f"The moment that the run is about is {as_of!r}; allowed is an ISO 8601 time such as "
            f"2013-05-01T00:00:00Z. {NOT_SCORED}."
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


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
