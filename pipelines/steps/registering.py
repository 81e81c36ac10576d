"""What registering a version is for either half: the checks before it, and the tags and papers that go with it."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.errors import PromotionRefused
from pipelines.records import Candidate, Judged, Registered, Window, canonical_json
from pipelines.registry import provenance, versions
from pipelines.registry.card import DataFacts, model_card
from pipelines.registry.evidence import Evidence, check_evidence, read_evidence
from pipelines.spec import ModelSpec
from pipelines.steps.context import Context

SOURCE_KEYS = ("type", "callable", "paths", "query")


def register_once(context: Context, judged: Judged, make: Callable[[Evidence], versions.Version]) -> Registered:
    """Return the one version of a candidate whose verdict is promote; `make` makes it where there is none yet.

    Raises:
        PromotionRefused: If the verdict is not promote, or does not fit the candidate, evidence or rules.
        IntegrityError: If verdict, evaluation, candidate or version are not what was written.
        RegistryError: If MLflow does not answer.
    """
    if judged.outcome != "promote":
        raise PromotionRefused(f"{judged.model}: the verdict is {judged.outcome}, and only promote is registered.")
    evidence = read_evidence(context.store, judged)
    check_evidence(evidence, context.spec)
    version = versions.find_version(context.environment, evidence.candidate)
    if version is None:
        _refuse_another_spec(context.spec, evidence.candidate)
        version = make(evidence)
    versions.check_version(context.environment, version, evidence.candidate)
    versions.set_verdict(context.environment, version, judged.verdict_sha256)
    return Registered(judged=judged, version=version.number)


def version_tags(evidence: Evidence) -> dict[str, str]:
    """Return the tags of a version: where all of it comes from, each by its hash."""
    candidate, verdict = evidence.candidate, evidence.verdict
    return {
        versions.CANDIDATE_TAG: candidate.sha256,
        versions.MODEL_TAG: candidate.model_sha256,
        versions.VERDICT_TAG: verdict.sha256,
        "tandem.evaluation_sha256": verdict.evaluation_sha256,
        "tandem.snapshot_id": candidate.snapshot_id,
        "tandem.code_commit": candidate.code_commit,
        "tandem.spec_sha256": candidate.spec_sha256,
        "tandem.environment_sha256": candidate.environment_sha256,
    }


def card_of(context: Context, evidence: Evidence) -> str:
    """Return the model card of a candidate. Raises `IntegrityError` if its snapshot is not what was written."""
    manifest = read_manifest(context.store, evidence.candidate.model, evidence.candidate.snapshot_id)
    return model_card(context.spec, evidence, data_facts(manifest))


def data_facts(manifest: Manifest) -> DataFacts:
    """Return what a model card says of a snapshot."""
    return DataFacts(
        source=", ".join(f"{key} {value}" for key, value in manifest.source.items() if key in SOURCE_KEYS),
        window=window_text(manifest.training.window),
        num_rows_in=manifest.quality.num_rows_in,
        num_rows_bad=manifest.quality.num_rows_bad,
        num_rows_train=manifest.training.train.num_rows,
        num_rows_holdout=manifest.holdout.num_rows,
        holdout_rule=str(manifest.rule),
        num_checks=manifest.quality.num_checks,
        warnings=manifest.quality.warnings,
    )


def window_text(window: Window) -> str:
    """Return a window in words.

    >>> window_text(Window(start="2013-01-01"))
    'from 2013-01-01 up to the newest data'
    """
    start = f"from {window.start}" if window.start else "from the oldest data"
    return f"{start} up to {window.end or 'the newest data'}"


def papers_of(spec: ModelSpec, evidence: Evidence, card: str) -> dict[str, bytes]:
    """Return the files that go with the model; the packages only where they are those it was trained with."""
    papers = {
        "model_card.md": card.encode(),
        "candidate.json": evidence.candidate.to_bytes(),
        "evaluation.json": evidence.evaluation.to_bytes(),
        "verdict.json": evidence.verdict.to_bytes(),
        "spec.json": canonical_json(spec.model_dump(mode="json")),
    }
    if provenance.environment_sha256() == evidence.candidate.environment_sha256:
        papers["environment.txt"] = provenance.environment_lock().encode()
    return papers


def _refuse_another_spec(spec: ModelSpec, candidate: Candidate) -> None:
    if candidate.spec_sha256 != spec.sha256:
        raise PromotionRefused(
            f"{candidate.model}: the candidate was trained by spec {candidate.spec_sha256[:12]}, and the spec is "
            f"{spec.sha256[:12]} now. Nothing was registered; train again, or take the change back."
        )
