"""What evaluating is for either half: the champion to be held against, the form of the evidence, and its keeping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pipelines.data.fairness import champion_saw_content, champion_saw_holdout
from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.gates.samples import Figures
from pipelines.records import Candidate, Evaluation
from pipelines.registry.champion import Champion, champion_against, whole_champion
from pipelines.registry.figures import is_shown, show
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import write_record

Model = TypeVar("Model")


def find_champion(
    store: Store,
    ours: Candidate,
    snapshot: Manifest,
    open_model: Callable[[Store, Candidate], Model],
    content_column: str | None = None,
) -> Champion[Model] | None:
    """Return the champion that a candidate has to beat, by the ledger; None where there was none.

    Args:
        store: Where ledger, candidate records, models and snapshots are.
        ours: The candidate.
        snapshot: What both are to be judged on.
        open_model: Returns a version's model by its record, as the half knows models.
        content_column: A column of hashes of what a row says, by which a champion may know rows under other keys.

    Raises:
        IntegrityError: If the ledger, or the champion's record, model or snapshot, is gone or not what was written.
    """
    found = champion_against(store, ours)
    if found is None:
        return None
    entry, candidate = found
    with whole_champion(entry):
        model = open_model(store, candidate)
        theirs = read_manifest(store, ours.model, candidate.snapshot_id)
        seen = champion_saw_content(store, snapshot, theirs, content_column) if content_column else None
        return Champion(entry, model, seen or champion_saw_holdout(store, snapshot, theirs))


def evidence_of(
    candidate: Candidate,
    snapshot: Manifest,
    champion: Champion[Model] | None,
    figures: Figures,
    num_rows: int,
    predictions: tuple[str, str],
    base_sha256: str | None = None,
) -> Evaluation:
    """Return the evidence, bound by hash to all that it was taken from.

    Args:
        candidate: Whose evidence it is.
        snapshot: Whose holdout both models were measured on.
        champion: What it was held against, if there was one.
        figures: What was measured.
        num_rows: How many rows of the holdout were asked.
        predictions: Key and hash of what each model answered.
        base_sha256: Of the pretrained model, for a language model.
    """
    predictions_key, predictions_sha256 = predictions
    return Evaluation(
        model=candidate.model,
        candidate_sha256=candidate.sha256,
        candidate_model_sha256=candidate.model_sha256,
        champion_version=champion.entry.version if champion else None,
        champion_ledger_sha256=champion.entry.sha256 if champion else None,
        champion_saw_holdout=champion.saw_holdout if champion else None,
        snapshot_id=candidate.snapshot_id,
        holdout_sha256=snapshot.holdout.content_sha256,
        num_rows=num_rows,
        predictions_key=predictions_key,
        predictions_sha256=predictions_sha256,
        base_sha256=base_sha256,
        **vars(figures),
    )


def keep_evidence(
    context: Context, candidate: Candidate, evaluation: Evaluation, draw: Callable[[Path], Iterable[Path]]
) -> Evaluation:
    """Store the evidence, and show it in the candidate's run where it is not shown yet; return it.

    Args:
        context: The model's surroundings.
        candidate: Whose evidence it is.
        evaluation: The evidence.
        draw: Writes pictures and pages into the folder it is given, and names their files.

    Raises:
        RegistryError: If MLflow does not answer; the evaluation is stored by then, and running again goes on.
    """
    write_record(context.store, f"{candidate.model}/evaluations", evaluation)
    if not is_shown(context.environment, candidate.mlflow_run_id, evaluation):
        show(context.environment, candidate.mlflow_run_id, evaluation, draw)
    return evaluation
