"""Versions in MLflow's registry: made once a candidate, found by the candidate's hash, and held to its bytes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipelines.errors import IntegrityError, RegistryError
from pipelines.records import Candidate
from pipelines.registry.connection import connect, is_collision, translated, written
from pipelines.spec import Environment
from pipelines.store.verified import file_sha256

CANDIDATE_TAG = "tandem.candidate_sha256"
MODEL_TAG = "tandem.model_sha256"
VERDICT_TAG = "tandem.verdict_sha256"
MODEL_FILE = "model.skops"
PAPERS_FOLDER = "tandem"
VERSIONS_TAG = "mlflow.modelVersions"  # MLflow's own: its web UI links a logged model to its versions by it


@dataclass(frozen=True)
class Version:
    """One version of a model as MLflow has it; `source` is the URI of its folder."""

    model: str
    number: int
    source: str
    tags: dict[str, str]


def get_version(environment: Environment, model: str, number: int) -> Version:
    """Return one version. Raises `RegistryError` if MLflow has it not, or does not answer."""
    client = connect(environment)
    with translated(environment):
        return _version(client, client.get_model_version(model, str(number)))


def newer_versions(environment: Environment, model: str, than: int) -> list[Version]:
    """Return a model's versions above a number, the newest first. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        found = client.search_model_versions(f"name = '{model}'", max_results=1000, order_by=["version_number DESC"])
        return [_version(client, version) for version in found if int(version.version) > than]


def find_version(environment: Environment, candidate: Candidate) -> Version | None:
    """Return the oldest version made of a candidate, or None. Raises `RegistryError`."""
    client = connect(environment)
    with translated(environment):
        found = client.search_model_versions(
            f"name = '{candidate.model}' and tags.`{CANDIDATE_TAG}` = '{candidate.sha256}'", max_results=1000
        )
        oldest = min(found, key=lambda version: int(version.version), default=None)
        return None if oldest is None else _version(client, oldest)


def find_or_create_logged_model(environment: Environment, candidate: Candidate, tags: Mapping[str, str]) -> str:
    """Return the id of the candidate's logged model in its run's experiment; it is empty when new.

    Raises:
        RegistryError: If MLflow does not answer, or the candidate's run is gone.
    """
    client = connect(environment)
    with translated(environment):
        experiment_id = client.get_run(candidate.mlflow_run_id).info.experiment_id
        found = client.search_logged_models([experiment_id], f"tags.`{CANDIDATE_TAG}` = '{candidate.sha256}'")
        made: LoggedModel = (
            found[0]
            if found
            else client.create_logged_model(
                experiment_id, name=candidate.model, source_run_id=candidate.mlflow_run_id, tags=dict(tags)
            )
        )
        return str(made.model_id)


def create_version(
    environment: Environment,
    candidate: Candidate,
    model_id: str,
    folder: Path,
    tags: Mapping[str, str],
    description: str,
) -> Version:
    """Upload a model's folder and make a version of it, in this order: a version never lacks its files.

    Of two made of one candidate at once, both callers return the older and the younger is taken away.

    Args:
        environment: Where MLflow is.
        candidate: What the version is made of.
        model_id: The candidate's logged model.
        folder: An MLflow model folder.
        tags: Tags of the version; the candidate's hash is added.
        description: Markdown for the version's page.

    Raises:
        RegistryError: If MLflow does not answer; there is then no version, and calling again goes on.
    """
    client = connect(environment)
    with translated(environment):
        client.log_model_artifacts(model_id, str(folder))
        logged = client.finalize_logged_model(model_id, "READY")
        _link_to_run(client, candidate.mlflow_run_id, model_id)
    # The folder's own address: MLflow resolves `models:/<id>` by a global tracking URI, ours is no global.
    version = create_version_at(environment, candidate, logged.artifact_location, tags, description, model_id)
    with translated(environment):
        link = [{"name": candidate.model, "version": version.number}]
        written(lambda: client.set_logged_model_tags(model_id, {VERSIONS_TAG: json.dumps(link)}))
    return version


def create_version_at(
    environment: Environment,
    candidate: Candidate,
    source: str,
    tags: Mapping[str, str],
    description: str,
    model_id: str | None = None,
) -> Version:
    """Make a version of a model folder that lies at `source` already; of two made at once the older counts.

    Args and errors are those of `create_version`.
    """
    client = connect(environment)
    with translated(environment):
        _ensure_registered_model(client, candidate.model)
        made = _version(
            client,
            client.create_model_version(
                candidate.model,
                source=source,
                run_id=candidate.mlflow_run_id,
                tags={**tags, CANDIDATE_TAG: candidate.sha256, MODEL_TAG: candidate.model_sha256},
                description=description,
                model_id=model_id,
                await_creation_for=0,  # it is ready when it is made; only clouds of others copy files first
            ),
        )
    oldest = find_version(environment, candidate) or made
    if oldest.number != made.number:
        with translated(environment):
            client.delete_model_version(candidate.model, str(made.number))
    return oldest


def set_verdict(environment: Environment, version: Version, verdict_sha256: str) -> None:
    """Note the newest verdict on a version: a candidate may be judged again, against another champion."""
    if version.tags.get(VERDICT_TAG) == verdict_sha256:
        return
    client = connect(environment)
    with translated(environment):
        number = str(version.number)
        written(lambda: client.set_model_version_tag(version.model, number, VERDICT_TAG, verdict_sha256))


def check_version(environment: Environment, version: Version, candidate: Candidate) -> None:
    """Raise `IntegrityError` unless the version's tags and the model file behind it are the candidate's.

    Raises `RegistryError` if MLflow or its files do not answer.
    """
    name = f"Version {version.number} of {version.model} in MLflow"
    for tag, expected in ((CANDIDATE_TAG, candidate.sha256), (MODEL_TAG, candidate.model_sha256)):
        if version.tags.get(tag) != expected:
            raise IntegrityError(
                f"{name} is not this candidate: tag {tag} is {version.tags.get(tag)}, expected {expected}. "
                "It was not used."
            )
    model_file = PurePosixPath(candidate.model_key).name
    with _downloaded(environment, f"{version.source}/{model_file}") as path:
        found = file_sha256(path)
    if found != candidate.model_sha256:
        raise IntegrityError(
            f"{name} was altered: the SHA-256 of its {model_file} is {found}, expected {candidate.model_sha256}. "
            "It was not used."
        )


def read_paper(environment: Environment, version: Version, name: str) -> bytes:
    """Return one of the files that went with a version, such as `spec.json`. Raises `RegistryError`."""
    with _downloaded(environment, f"{version.source}/{PAPERS_FOLDER}/{name}") as path:
        return path.read_bytes()


@contextmanager
def _downloaded(environment: Environment, uri: str) -> Iterator[Path]:
    with translated(environment), tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        yield Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=folder, tracking_uri=environment.mlflow.tracking_uri
            )
        )


def _link_to_run(client: MlflowClient, run_id: str, model_id: str) -> None:
    try:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    except MlflowException as error:
        if not is_collision(error):  # else an earlier attempt linked them
            raise


def _ensure_registered_model(client: MlflowClient, model: str) -> None:
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(client: MlflowClient, found: ModelVersion) -> Version:
    if found.status != "READY":
        raise RegistryError(
            f"Version {found.version} of {found.name} is {found.status} in MLflow, not READY: {found.status_message}"
        )
    source = client.get_model_version_download_uri(found.name, found.version)
    return Version(model=found.name, number=int(found.version), source=str(source).rstrip("/"), tags=dict(found.tags))
