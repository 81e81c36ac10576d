"""The links between a version and the data and code that made it, each verified as it is followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from pipelines.data.manifests import Manifest
from pipelines.data.partitions import content_key
from pipelines.data.snapshots import manifest_key, read_manifest
from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.gates.judge import judge
from pipelines.records import Candidate, Evaluation, LedgerEntry, Record, Verdict, sha256_of
from pipelines.registry.chain import Chain
from pipelines.registry.runs import run_url
from pipelines.registry.versions import CANDIDATE_TAG, VERDICT_TAG, Version, check_version, read_paper
from pipelines.spec import ModelSpec
from pipelines.steps.context import Context
from pipelines.steps.model_files import check_model
from pipelines.store.verified import fetch_verified, read_record

RecordType = TypeVar("RecordType", bound=Record)


def follow_evidence(
    context: Context, chain: Chain, entry: LedgerEntry | None, registered: Version | None
) -> Candidate | None:
    """Follow verdict, evaluation, spec and candidate, judge again, and return the candidate where it is sound.

    A version that never served is in no ledger: its tags in MLflow name the hashes then.
    """
    tags = registered.tags if registered else {}
    verdict_sha256 = entry.verdict_sha256 if entry else tags.get(VERDICT_TAG, "unknown")
    candidate_sha256 = entry.candidate_sha256 if entry else tags.get(CANDIDATE_TAG, "unknown")
    verdict = _follow_record(context, chain, "verdicts", Verdict, verdict_sha256)
    candidate = _follow_record(context, chain, "candidates", Candidate, candidate_sha256)
    evaluation, spec = None, None
    if verdict is not None:
        evaluation = _follow_record(context, chain, "evaluations", Evaluation, verdict.evaluation_sha256)
    if evaluation is not None and evaluation.predictions_key is not None:
        sha256 = evaluation.predictions_sha256 or "unknown"
        follow_file(context, chain, "predictions", evaluation.predictions_key, sha256)
    if candidate is not None and registered is not None:
        sha256 = candidate.spec_sha256
        spec = chain.follow("spec", lambda: _spec(context, registered, sha256), _spec_says, sha256=sha256)
    if verdict is not None and evaluation is not None:
        specs = [context.spec] if spec is None else [context.spec, spec]
        chain.follow("judgement", lambda: _judge_again(verdict, evaluation, specs), lambda rules: {"rules": rules})
    return candidate


def follow_model(context: Context, chain: Chain, candidate: Candidate, registered: Version | None) -> None:
    """Follow the model file, its copy in MLflow, the packages it was trained with, and the run that made it."""
    sha256 = candidate.model_sha256
    words = {"algorithm": candidate.algorithm}
    chain.follow(
        "model file",
        lambda: check_model(context.store, candidate.model_key, sha256),
        lambda _: words,
        candidate.model_key,
        sha256,
    )
    if registered is not None:
        chain.follow(
            "model file in MLflow",
            lambda: check_version(context.environment, registered, candidate),
            lambda _: {"uri": registered.source},
            sha256=sha256,
        )
        environment_sha256 = candidate.environment_sha256
        chain.follow(
            "environment",
            lambda: _paper(context, registered, "environment.txt", environment_sha256),
            lambda found: {"packages": found.decode().split()},
            sha256=environment_sha256,
        )
    chain.follow(
        "training run",
        lambda: run_url(context.environment, candidate.mlflow_run_id),
        lambda url: {"url": url, "code_commit": candidate.code_commit, "algorithm": candidate.algorithm},
    )


def follow_data(context: Context, chain: Chain, candidate: Candidate) -> None:
    """Follow the snapshot, every partition it was taken from and cut into, and the quality report; reads all bytes."""
    model, snapshot_id = candidate.model, candidate.snapshot_id
    manifest = chain.follow(
        "snapshot",
        lambda: read_manifest(context.store, model, snapshot_id),
        _manifest_says,
        manifest_key(model, snapshot_id),
        snapshot_id,
    )
    if manifest is None:
        return
    for what, key, sha256, words in _files(model, manifest):
        follow_file(context, chain, what, key, sha256, words)
    report = manifest.quality.report_key
    chain.follow("quality report", lambda: _exists(context, report), lambda _: manifest.quality.to_dict(), report)


def follow_file(
    context: Context, chain: Chain, what: str, key: str, sha256: str, words: dict[str, Any] | None = None
) -> None:
    """Follow one stored file by reading all its bytes; `words` are what is said of it besides."""

    def fetch() -> None:
        with fetch_verified(context.store, key, sha256):
            return

    chain.follow(what, fetch, lambda _: words or {}, key, sha256)


def _follow_record(
    context: Context, chain: Chain, folder: str, kind: type[RecordType], sha256: str
) -> RecordType | None:
    key = f"{context.spec.name}/{folder}/{sha256}.json"
    return chain.follow(
        kind.__name__.lower(), lambda: read_record(context.store, key, kind, sha256), kind.to_dict, key, sha256
    )


def _spec(context: Context, registered: Version, sha256: str) -> ModelSpec:
    return type(context.spec).model_validate_json(_paper(context, registered, "spec.json", sha256))


def _spec_says(spec: ModelSpec) -> dict[str, Any]:
    return {"rules_sha256": spec.rules_sha256, "gates": spec.gates.model_dump(mode="json")}


def _judge_again(verdict: Verdict, evaluation: Evaluation, specs: list[ModelSpec]) -> str:
    """Return the hash of the rules by which the verdict follows from its evidence."""
    spec = next((one for one in specs if one.rules_sha256 == verdict.rules_sha256), None)
    if spec is None:
        raise IntegrityError(
            f"The verdict was given by rules {verdict.rules_sha256}, and neither the spec nor the version in MLflow "
            "has them: it cannot be judged again."
        )
    outcome, results = judge(evaluation, spec.gates)
    if (outcome, results) != (verdict.outcome, verdict.results):
        raise IntegrityError(f"Judged again by the same rules the outcome is {outcome}, not {verdict.outcome}.")
    return spec.rules_sha256


def _paper(context: Context, registered: Version, name: str, sha256: str) -> bytes:
    found = read_paper(context.environment, registered, name)
    if sha256_of(found) != sha256:
        raise IntegrityError(
            f"{name} of version {registered.number} has SHA-256 {sha256_of(found)}, expected {sha256}."
        )
    return found


def _manifest_says(manifest: Manifest) -> dict[str, Any]:
    return {
        "source": manifest.source,
        "window": manifest.training.window.to_dict(),
        "num_rows_train": manifest.training.train.num_rows,
        "num_rows_holdout": manifest.holdout.num_rows,
        "holdout_rule": str(manifest.rule),
        "quality": manifest.quality.to_dict(),
    }


def _files(model: str, manifest: Manifest) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield what, key, hash and words of every file a snapshot was taken from or cut into."""
    for one in manifest.lineage:
        if one.raw_sha256 is not None:
            key = content_key(model, "partitions", one.name, one.raw_sha256)
            yield f"raw {one.name}", key, one.raw_sha256, {}
        if one.prepared_sha256 is not None:
            key = content_key(model, "prepared", one.name, one.prepared_sha256)
            yield f"prepared {one.name}", key, one.prepared_sha256, {}
        if one.clean_sha256 != (one.prepared_sha256 or one.raw_sha256):  # without bad rows it is its own clean one
            key = content_key(model, "clean", one.name, one.clean_sha256)
            yield f"clean {one.name}", key, one.clean_sha256, {"num_rows": one.num_rows}
    for what, side in (("training", manifest.training.train), ("holdout", manifest.holdout)):
        for partition in side.partitions:
            words = {"num_rows": partition.num_rows}
            yield f"{what} {partition.name}", partition.key, partition.content_sha256, words


def _exists(context: Context, key: str) -> None:
    if context.store.stat(key) is None:
        raise ObjectMissing(f"Object {key!r} is not in {context.store.root}.")
