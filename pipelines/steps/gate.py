"""Judge a candidate by the spec's rules, store the verdict, and stop here unless it is promote.

There is no argument, setting or environment variable that lets a candidate through: what is judged is read from the
store by its hash, by a pure function, and promotion judges the same evidence once more.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipelines.errors import GateFailed, RegistryError, UsageError
from pipelines.gates import wording
from pipelines.gates.judge import judge
from pipelines.records import Candidate, Evaluation, Judged, Verdict
from pipelines.registry.runs import finish_run, log_artifact, set_tags
from pipelines.steps.context import Context
from pipelines.store.verified import read_record, write_record

VERDICT_TAG = "tandem.verdict"
VERDICT_HASH_TAG = "tandem.verdict_sha256"
PAGE = "verdict.md"


def gate(context: Context, candidate: Candidate, evaluation: Evaluation) -> Judged:
    """Return where verdict and evidence are stored, for a candidate whose verdict is promote.

    Whatever it is, the verdict is stored and shown in the candidate's run; same evidence and rules, same verdict.

    Raises:
        GateFailed: If the verdict is reject or hold; says every reason.
        UsageError: If the evaluation is of another candidate, model or snapshot.
        ObjectMissing: If candidate or evaluation were never stored.
        IntegrityError: If they are not what was written.
        RegistryError: If the verdict is promote and MLflow does not answer; it is stored, and running again goes on.
    """
    store, model = context.store, context.spec.name
    _check_belongs(model, candidate, evaluation)
    candidate_key = f"{model}/candidates/{candidate.sha256}.json"
    evaluation_key = f"{model}/evaluations/{evaluation.sha256}.json"
    read_record(store, candidate_key, Candidate, candidate.sha256)
    evidence = read_record(store, evaluation_key, Evaluation, evaluation.sha256)
    outcome, results = judge(evidence, context.spec.gates)
    verdict = Verdict(
        model=model,
        outcome=outcome,
        results=results,
        candidate_sha256=candidate.sha256,
        champion_ledger_sha256=evidence.champion_ledger_sha256,
        holdout_sha256=evidence.holdout_sha256,
        evaluation_sha256=evidence.sha256,
        rules_sha256=context.spec.rules_sha256,
    )
    verdict_key = write_record(store, f"{model}/verdicts", verdict)
    sentence = wording.sentence(outcome, results, evidence.champion_version is not None)
    try:
        _show(context, candidate, verdict, wording.page(verdict, evidence))
    except RegistryError as error:
        if outcome == "promote":
            raise
        raise GateFailed(f"{sentence} The verdict is stored, and MLflow was not told: {error}") from error
    if outcome != "promote":
        raise GateFailed(sentence)
    return Judged(
        model=model,
        outcome=outcome,
        verdict_key=verdict_key,
        verdict_sha256=verdict.sha256,
        evaluation_key=evaluation_key,
        candidate_key=candidate_key,
    )


def _check_belongs(model: str, candidate: Candidate, evaluation: Evaluation) -> None:
    for what, found, expected in (
        ("candidate is of model", candidate.model, model),
        ("evaluation is of model", evaluation.model, model),
        ("evaluation is of candidate", evaluation.candidate_sha256, candidate.sha256),
        ("evaluation is of model file", evaluation.candidate_model_sha256, candidate.model_sha256),
        ("evaluation is on snapshot", evaluation.snapshot_id, candidate.snapshot_id),
    ):
        if found != expected:
            raise UsageError(f"The {what} {found}, expected {expected}. Nothing was judged, and nothing is promoted.")


def _show(context: Context, candidate: Candidate, verdict: Verdict, page: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        path = Path(folder) / PAGE
        path.write_text(page, encoding="utf-8")
        log_artifact(context.environment, candidate.mlflow_run_id, path)
    tags = {VERDICT_TAG: verdict.outcome, VERDICT_HASH_TAG: verdict.sha256}
    set_tags(context.environment, candidate.mlflow_run_id, tags)
    finish_run(context.environment, candidate.mlflow_run_id)
