"""Give a judged scikit-learn model a version in MLflow's registry. It does not serve by that."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from mlflow.models import Model

from pipelines.classic.estimators.persistence import load_model
from pipelines.data.manifests import Manifest
from pipelines.data.profiles import Profile
from pipelines.data.snapshots import read_manifest
from pipelines.records import Judged, Registered
from pipelines.registry import package, versions
from pipelines.registry.evidence import Evidence
from pipelines.spec import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.registering import card_of, papers_of, register_once, version_tags
from pipelines.store.verified import fetch_verified, read_record

EXAMPLE_ROWS = 5


def register(context: Context[ClassicSpec], judged: Judged) -> Registered:
    """Make the one version of a candidate whose verdict is promote; again for the same candidate, the same version.

    Raises:
        PromotionRefused: If the verdict is not promote, or does not fit the candidate, evidence or rules.
        IntegrityError: If verdict, evaluation, candidate, model or example data are not the bytes that were written.
        RegistryError: If MLflow does not answer; there is then no version, and running again goes on.
    """
    return register_once(context, judged, lambda evidence: _make_version(context, evidence))


def _make_version(context: Context[ClassicSpec], evidence: Evidence) -> versions.Version:
    candidate = evidence.candidate
    manifest = read_manifest(context.store, candidate.model, candidate.snapshot_id)
    card, tags = card_of(context, evidence), version_tags(evidence)
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
            papers=papers_of(context.spec, evidence, card),
            model=Model(run_id=candidate.mlflow_run_id, model_id=model_id),
        )
        return versions.create_version(context.environment, candidate, model_id, folder, tags, card)


def _features(context: Context[ClassicSpec], manifest: Manifest) -> package.Features:
    names = list(context.spec.training.features)
    side = manifest.training.train
    profiles = [read_record(context.store, one.key, Profile, one.profile_sha256) for one in side.profiles]
    first = side.partitions[0]
    with fetch_verified(context.store, first.key, first.content_sha256) as path, pq.ParquetFile(path) as file:
        rows = file.read_row_group(0, columns=names).select(names).slice(0, EXAMPLE_ROWS).replace_schema_metadata(None)
    missing = frozenset(name for name in names for one in profiles if one.column(name).num_nulls)
    return package.Features(rows, missing)
