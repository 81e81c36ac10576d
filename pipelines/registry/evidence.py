"""The evidence behind a verdict, read by hash, and the ways in which it may not fit what is to be promoted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.errors import PromotionRefused
from pipelines.records import Candidate, Evaluation, Judged, LedgerEntry, Verdict
from pipelines.spec import ModelSpec
from pipelines.store.base import Store
from pipelines.store.verified import read_record


@dataclass(frozen=True)
class Evidence:
    """A verdict, the evaluation it rests on, and the candidate it judges; each has the hash that the last one names."""

    verdict: Verdict
    evaluation: Evaluation
    candidate: Candidate


def read_evidence(store: Store, judged: Judged) -> Evidence:
    """Return what a judgement rests on.

    Raises:
        IntegrityError: If the bytes of one are not those that the verdict was given over.
        ObjectMissing: If one is gone.
    """
    verdict = read_record(store, judged.verdict_key, Verdict, judged.verdict_sha256)
    evaluation = read_record(store, judged.evaluation_key, Evaluation, verdict.evaluation_sha256)
    candidate = read_record(store, judged.candidate_key, Candidate, verdict.candidate_sha256)
    return Evidence(verdict, evaluation, candidate)


def check_evidence(evidence: Evidence, spec: ModelSpec) -> None:
    """Raise `PromotionRefused` with all that does not fit: no promote; another model, candidate, holdout or rules."""
    if misfits := list(_misfits(evidence, spec)):
        raise PromotionRefused(f"{spec.name}: {'; '.join(misfits)}. Nothing was promoted.")


def check_champion(evidence: Evidence, champion: LedgerEntry | None) -> None:
    """Raise `PromotionRefused` unless the verdict was given against the champion that serves now."""
    judged_against = evidence.evaluation.champion_version
    expected = (champion.sha256, champion.version) if champion else (None, None)
    if (evidence.verdict.champion_ledger_sha256, judged_against) == expected:
        return
    against = f"version {judged_against}" if judged_against is not None else "no champion"
    now = f"version {champion.version} serves" if champion else "no version serves"
    since = f" (ledger entry {champion.seq}, by {champion.by} at {champion.at})" if champion else ""
    raise PromotionRefused(
        f"{evidence.verdict.model}: the candidate was judged against {against}, but {now} now{since}. "
        "Nothing was promoted; evaluate it again."
    )


def _misfits(evidence: Evidence, spec: ModelSpec) -> Iterator[str]:
    verdict, evaluation, candidate = evidence.verdict, evidence.evaluation, evidence.candidate
    if verdict.outcome != "promote":
        yield f"the verdict is {verdict.outcome}, and only promote may pass"
    for what, model in (("verdict", verdict.model), ("evaluation", evaluation.model), ("candidate", candidate.model)):
        if model != spec.name:
            yield f"the {what} is of model {model}"
    if verdict.rules_sha256 != spec.rules_sha256:
        yield f"the verdict was given by rules {verdict.rules_sha256[:12]}, and the spec's are {spec.rules_sha256[:12]}"
    for what, found, expected in (
        ("evaluation is of candidate", evaluation.candidate_sha256, candidate.sha256),
        ("evaluation is of model file", evaluation.candidate_model_sha256, candidate.model_sha256),
        ("evaluation is on snapshot", evaluation.snapshot_id, candidate.snapshot_id),
        ("verdict is on holdout", verdict.holdout_sha256, evaluation.holdout_sha256),
        ("verdict is against ledger entry", verdict.champion_ledger_sha256, evaluation.champion_ledger_sha256),
    ):
        if found != expected:
            yield f"the {what} {(found or 'none')[:12]}, expected {(expected or 'none')[:12]}"
