"""Give a judged candidate a version in MLflow's registry. It does not serve by that."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from mlflow.models import Model

from pipelines.classic.estimators.persistence import load_model
from pipelines.data.manifests import Manifest
from pipelines.data.profiles import Profile
from pipelines.data.snapshots import read_manifest
from pipelines.errors import PromotionRefused
from pipelines.records import Candidate, Judged, Registered, Window, canonical_json
from pipelines.registry import package, provenance, versions
from pipelines.registry.card import DataFacts, model_card
from pipelines.registry.evidence import Evidence, check_evidence, read_evidence
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.store.verified import fetch_verified, read_record

EXAMPLE_ROWS = 5
SOURCE_KEYS = ("type", "callable", "paths", "query")


def register(context: Context[ClassicSpec], judged: Judged) -> Registered:
    """Make the one version of a candidate whose verdict is promote; again for the same candidate, the same version.

    Raises:
        PromotionRefused: If the verdict is not promote, or does not fit the candidate, evidence or rules.
        IntegrityError: If verdict, evaluation, candidate, model or example data are not the bytes that were written.
        RegistryError: If MLflow does not answer; there is then no version, and running again goes on.
    """
    if judged.outcome != "promote":
        raise PromotionRefused(f"{judged.model}: the verdict is {judged.outcome}, and only promote is registered.")
    evidence = read_evidence(context.store, judged)
    check_evidence(evidence, context.spec)
    version = versions.find_version(context.environment, evidence.candidate) or _make_version(context, evidence)
    versions.check_version(context.environment, version, evidence.candidate)
    versions.set_verdict(context.environment, version, judged.verdict_sha256)
    return Registered(judged=judged, version=version.number)


def _make_version(context: Context[ClassicSpec], evidence: Evidence) -> versions.Version:
    candidate = evidence.candidate
    _refuse_another_spec(context, candidate)
    manifest = read_manifest(context.store, candidate.model, candidate.snapshot_id)
    card = model_card(context.spec, evidence, data_facts(manifest))
    tags = version_tags(evidence)
    model_id = versions.find_or_create_logged_model(context.environment, candidate, tags)
    with (
        fetch_verified(context.store, candidate.model_key, candidate.model_sha256) as model_file,
        tempfile.TemporaryDirectory(prefix="tandem-") as scratch,
    ):
        folder = Path(scratch) / "model"
        package.write_model_folder(
            folder,
            model_file,
            load_model,
            _features(context, manifest),
            probabilities=context.spec.training.task != "regression",
            papers=_papers(context, evidence, card),
            model=Model(run_id=candidate.mlflow_run_id, model_id=model_id),
        )
        return versions.create_version(context.environment, candidate, model_id, folder, tags, card)


def _refuse_another_spec(context: Context[ClassicSpec], candidate: Candidate) -> None:
    if candidate.spec_sha256 != context.spec.sha256:
        raise PromotionRefused(
            f"{candidate.model}: the candidate was trained by spec {candidate.spec_sha256[:12]}, and the spec is "
            f"{context.spec.sha256[:12]} now. Nothing was registered; train again, or take the change back."
        )


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


def _features(context: Context[ClassicSpec], manifest: Manifest) -> package.Features:
    names = list(context.spec.training.features)
    side = manifest.training.train
    profiles = [read_record(context.store, one.key, Profile, one.profile_sha256) for one in side.profiles]
    first = side.partitions[0]
    with fetch_verified(context.store, first.key, first.content_sha256) as path, pq.ParquetFile(path) as file:
        rows = file.read_row_group(0, columns=names).select(names).slice(0, EXAMPLE_ROWS).replace_schema_metadata(None)
    missing = frozenset(name for name in names for one in profiles if one.column(name).num_nulls)
    return package.Features(rows, missing)


def _papers(context: Context[ClassicSpec], evidence: Evidence, card: str) -> dict[str, bytes]:
    """Return the files that go with the model; the packages only where they are those it was trained with."""
    papers = {
        "model_card.md": card.encode(),
        "candidate.json": evidence.candidate.to_bytes(),
        "evaluation.json": evidence.evaluation.to_bytes(),
        "verdict.json": evidence.verdict.to_bytes(),
        "spec.json": canonical_json(context.spec.model_dump(mode="json")),
    }
    if provenance.environment_sha256() == evidence.candidate.environment_sha256:
        papers["environment.txt"] = provenance.environment_lock().encode()
    return papers
