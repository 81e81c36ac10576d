"""Make a registered candidate the champion, if and only if all that speaks for it is true and still holds.

There is no way past this: every record is read again by its hash, the judgement is computed again from the evidence
and the spec's rules, and the verdict must have been given against the version that serves now. The ledger decides; the
alias in MLflow is moved after it.
"""

from __future__ import annotations

from pipelines.data.snapshots import read_manifest
from pipelines.errors import PromotionRefused
from pipelines.gates.judge import judge
from pipelines.records import LedgerEntry, Promoted, Registered
from pipelines.registry.alias import check_witness, follow_ledger, read_shadow
from pipelines.registry.evidence import Evidence, check_champion, check_evidence, read_evidence
from pipelines.registry.ledger import append_entry, champion_entry, models_set_aside, read_ledger
from pipelines.registry.versions import check_version, get_version
from pipelines.spec import ModelSpec
from pipelines.steps.context import Context
from pipelines.steps.model_files import check_model
from pipelines.store.verified import fetch_verified


def promote(context: Context, registered: Registered, by: str) -> Promoted:
    """Append the ledger entry that lets a version serve, then move the alias; again for the same, the same answer.

    Args:
        context: The model's surroundings.
        registered: What register left.
        by: Who promotes: kept in the ledger.

    Raises:
        PromotionRefused: If the verdict is not promote, does not follow from its evidence by the spec's rules, is of
            another candidate or holdout, or was given against another champion than the one that serves; or a
            rollback took this model from service; or somebody else was first. Nothing is changed.
        IntegrityError: If any record, the model, the version in MLflow or the ledger is not what was written.
        RegistryError: If MLflow does not answer: before the entry, nothing is changed; after it, running again only
            moves the alias.
    """
    model, store, environment = context.spec.name, context.store, context.environment
    shadow = read_shadow(environment, model)
    entries = read_ledger(store, model)
    check_witness(entries, model, shadow)
    entry = _earlier_promotion(entries, registered)
    if entry is None:
        evidence = _checked_evidence(context, registered, champion_entry(entries))
        _refuse_set_aside(entries, evidence.candidate.model_sha256)
        entry = _append(context, registered, evidence, entries, by)
    done = f"version {entry.version} serves by ledger entry {entry.seq}, and the alias was not moved"
    follow_ledger(store, environment, model, outcome=done)
    return promoted_by(entry, read_ledger(store, model))


def promoted_by(entry: LedgerEntry, entries: list[LedgerEntry]) -> Promoted:
    """Return the record of an entry that lies in the ledger."""
    before = champion_entry(entries[: entry.seq - 1])
    return Promoted(
        model=entry.model,
        version=entry.version,
        ledger_seq=entry.seq,
        ledger_sha256=entry.sha256,
        previous_version=before.version if before else None,
    )


def _earlier_promotion(entries: list[LedgerEntry], registered: Registered) -> LedgerEntry | None:
    """Return the entry by which this candidate serves already, if it does: an earlier attempt or run left it.

    Raises `PromotionRefused` for a promotion that was made once and is over.
    """
    champion = champion_entry(entries)
    same = [entry for entry in entries if _is_of(entry, registered)]
    if champion is None:
        return None
    if (champion.version, champion.candidate_key) == (registered.version, registered.judged.candidate_key):
        return same[-1] if same else champion
    if not same:
        return None
    _refuse_set_aside(entries, same[-1].model_sha256)
    raise PromotionRefused(
        f"{champion.model}: version {registered.version} was promoted at {same[-1].at} (ledger entry {same[-1].seq}), "
        f"and version {champion.version} serves since {champion.at} (ledger entry {champion.seq}, by {champion.by}). "
        "Nothing was changed; to let it serve again, roll back to it."
    )


def _refuse_set_aside(entries: list[LedgerEntry], model_sha256: str) -> None:
    """Raise `PromotionRefused` for a model that somebody took from service: what a person decided, a person undoes."""
    found = models_set_aside(entries).get(model_sha256)
    if found is None:
        return
    served, rollback = found
    raise PromotionRefused(
        f"{served.model}: this model served as version {served.version} (ledger entry {served.seq}), and {rollback.by} "
        f"rolled back to version {rollback.version} at {rollback.at} (ledger entry {rollback.seq}: {rollback.reason}). "
        "No run undoes a rollback; nothing was promoted. Change the data or the spec and train again, or let it serve "
        f"again: tandem rollback {served.model} --to {served.version} --reason TEXT."
    )


def _is_of(entry: LedgerEntry, registered: Registered) -> bool:
    return (
        entry.action == "promote"
        and entry.version == registered.version
        and entry.verdict_sha256 == registered.judged.verdict_sha256
    )


def _checked_evidence(context: Context, registered: Registered, champion: LedgerEntry | None) -> Evidence:
    evidence = read_evidence(context.store, registered.judged)
    check_evidence(evidence, context.spec)
    _check_holdout(context, evidence)
    _check_judgement(evidence, context.spec)
    check_champion(evidence, champion)
    candidate = evidence.candidate
    check_model(context.store, candidate.model_key, candidate.model_sha256)
    version = get_version(context.environment, candidate.model, registered.version)
    check_version(context.environment, version, candidate)
    return evidence


def _check_holdout(context: Context, evidence: Evidence) -> None:
    evaluation = evidence.evaluation
    holdout = read_manifest(context.store, evaluation.model, evaluation.snapshot_id).holdout
    is_whole = context.spec.may_be_judged_on(evaluation.num_rows, holdout.num_rows)
    if evaluation.holdout_sha256 != holdout.content_sha256 or not is_whole:
        raise PromotionRefused(
            f"{evaluation.model}: the evaluation is on holdout {evaluation.holdout_sha256[:12]} with "
            f"{evaluation.num_rows} rows, and the one of the snapshot is {holdout.content_sha256[:12]} with "
            f"{holdout.num_rows}. Nothing was promoted; evaluate again."
        )
    if evaluation.predictions_key is not None and evaluation.predictions_sha256 is not None:
        with fetch_verified(context.store, evaluation.predictions_key, evaluation.predictions_sha256):
            return


def _check_judgement(evidence: Evidence, spec: ModelSpec) -> None:
    outcome, results = judge(evidence.evaluation, spec.gates)
    if outcome != "promote" or (outcome, results) != (evidence.verdict.outcome, evidence.verdict.results):
        reasons = "; ".join(result.reason for result in results if result.outcome != "promote")
        raise PromotionRefused(
            f"{spec.name}: the verdict says {evidence.verdict.outcome} and does not follow from its evidence: judged "
            f"again it is {outcome}{f' ({reasons})' if reasons else ', for other reasons'}. Nothing was promoted."
        )


def _append(
    context: Context, registered: Registered, evidence: Evidence, entries: list[LedgerEntry], by: str
) -> LedgerEntry:
    judged, candidate = registered.judged, evidence.candidate
    head = champion_entry(entries)
    try:
        return append_entry(
            context.store,
            candidate.model,
            head.sha256 if head else None,
            action="promote",
            version=registered.version,
            candidate_key=judged.candidate_key,
            candidate_sha256=candidate.sha256,
            model_sha256=candidate.model_sha256,
            verdict_key=judged.verdict_key,
            verdict_sha256=judged.verdict_sha256,
            reason=f"{candidate.algorithm}: all {len(evidence.verdict.results)} checks hold",
            by=by,
        )
    except PromotionRefused:
        first = champion_entry(read_ledger(context.store, candidate.model))
        if first is not None and _is_of(first, registered):  # the same promotion, run twice at once
            return first
        raise
