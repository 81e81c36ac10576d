"""Measure a candidate on the frozen holdout, and the champion beside it on the same rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipelines.classic.curves.drawing import Pictured, draw_all
from pipelines.classic.evaluation.measuring import measure_all
from pipelines.classic.evaluation.models import Answers, answer, load_candidate
from pipelines.classic.evaluation.predictions import CHALLENGER, predictions_table
from pipelines.data.manifests import Manifest
from pipelines.data.predictions import write_predictions
from pipelines.data.slices import slice_columns, slices_of
from pipelines.data.snapshots import read_holdout, read_manifest
from pipelines.gates.bootstrap import seed_from
from pipelines.records import Candidate, Evaluation
from pipelines.spec import ClassicSpec
from pipelines.steps.classic.importances import importances
from pipelines.steps.context import Context
from pipelines.steps.evaluating import evidence_of, find_champion, keep_evidence


def evaluate(context: Context[ClassicSpec], candidate: Candidate) -> Evaluation:
    """Store and return the evidence, with each row's predictions; show figures and pictures in the candidate's run.

    The same candidate, holdout and champion give the same evaluation, and what is stored or shown already is not
    written again.

    Raises:
        IntegrityError: If holdout, candidate, ledger or anything of the champion is gone or not what was written.
        DataError: If the holdout's labels, columns or slices do not go with the models or the spec.
        RegistryError: If MLflow does not answer; the evaluation is stored by then, and running again goes on.
    """
    spec, store = context.spec, context.store
    manifest = read_manifest(store, spec.name, candidate.snapshot_id)
    holdout = read_holdout(store, spec.name, candidate.snapshot_id)
    challenger = load_candidate(store, candidate)
    champion = find_champion(store, candidate, manifest, load_candidate)
    answers = answer(spec.training, holdout, challenger, champion)
    figures = measure_all(
        spec.training.task,
        answers.truth,
        answers.challenger,
        answers.champion,
        slices_of(holdout, slice_columns(spec.gates), spec.gates.minimum_slice_rows),
        spec.gates.bootstrap_samples,
        seed_from(manifest.holdout.content_sha256),
    )
    predictions = _store_predictions(context, manifest, holdout, answers)
    evaluation = evidence_of(candidate, manifest, champion, figures, holdout.num_rows, predictions)

    def draw(folder: Path) -> list[Path]:
        named = {CHALLENGER: answers.challenger}
        if champion is not None and answers.champion is not None:
            named[f"champion v{champion.entry.version}"] = answers.champion
        worth = importances(context, candidate, (challenger, holdout))
        return draw_all(Pictured(spec, answers.truth, named, answers.classes, figures, worth), folder)

    return keep_evidence(context, candidate, evaluation, draw)


def _store_predictions(
    context: Context[ClassicSpec], manifest: Manifest, holdout: pa.Table, answers: Answers
) -> tuple[str, str]:
    training = manifest.training
    keys = dict.fromkeys([*training.key_columns, *([training.time_column] if training.time_column else [])])
    by_model = {CHALLENGER: answers.challenger, "champion": answers.champion}
    predictions = {name: predicted for name, predicted in by_model.items() if predicted is not None}
    table = predictions_table(holdout, list(keys), context.spec.training.target, predictions, answers.classes)
    return write_predictions(context.store, context.spec.name, table)
