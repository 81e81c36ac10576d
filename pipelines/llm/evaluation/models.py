"""The three models of a comparison: the challenger, what it was tuned from, and the champion that it has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.data.fairness import champion_saw_content, champion_saw_holdout
from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.errors import IntegrityError
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.scores import Part, Score, score_model
from pipelines.llm.pretrained import PretrainedFolder
from pipelines.records import Candidate, LedgerEntry
from pipelines.registry.champion import champion_against, whole_champion
from pipelines.store import Store
from pipelines.store.trees import fetch_tree, read_tree

CONTENT_COLUMN = "content_sha256"


@dataclass(frozen=True)
class Champion:
    """What serves now: its ledger entry, its record, and how it came to know the holdout, if it does."""

    entry: LedgerEntry
    candidate: Candidate
    saw_holdout: str | None


@dataclass(frozen=True)
class Scored:
    """What the models score on the same items."""

    challenger: list[Score]
    champion: list[Score] | None
    base: list[Score]


def find_champion(store: Store, ours: Candidate, snapshot: Manifest) -> Champion | None:
    """Return the champion that a candidate has to beat, by the ledger; None where there was none.

    Raises:
        IntegrityError: If the ledger, or the champion's record, model or snapshot, is gone or not what was written.
    """
    found = champion_against(store, ours)
    if found is None:
        return None
    entry, candidate = found
    with whole_champion(entry):
        read_tree(store, candidate.model_key, candidate.model_sha256)
        theirs = read_manifest(store, ours.model, candidate.snapshot_id)
        seen = champion_saw_content(store, snapshot, theirs, CONTENT_COLUMN)
        return Champion(entry, candidate, seen or champion_saw_holdout(store, snapshot, theirs))


def check_base(store: Store, candidate: Candidate, base: PretrainedFolder) -> None:
    """Raise `IntegrityError` unless a candidate was tuned from `base`; of anything else no gain can be told."""
    tree = read_tree(store, candidate.model_key, candidate.model_sha256)
    if tree.base_sha256 != base.sha256:
        raise IntegrityError(
            f"The candidate was tuned from pretrained model {tree.base_sha256[:16]}, and the spec's, {base.folder}, is "
            f"{base.sha256[:16]}: what it gained cannot be told. It was not judged; train it again."
        )


def score_all(
    store: Store, candidate: Candidate, champion: Champion | None, base: PretrainedFolder, parts: list[Part]
) -> Scored:
    """Let all models answer every item; weights are read one model after the other, and only where they are needed.

    Raises:
        IntegrityError: If weights are gone or not what was written.
        ObjectMissing: If the candidate's are gone.
    """
    model = candidate.model
    theirs = None
    if champion is not None:
        with whole_champion(champion.entry):
            theirs = _score_stored(store, champion.candidate, parts)
    ours = _score_stored(store, candidate, parts)
    return Scored(ours, theirs, score_model(store, model, base.sha256, parts, lambda: LanguageModel.load(base.folder)))


def _score_stored(store: Store, candidate: Candidate, parts: list[Part]) -> list[Score]:
    def load() -> LanguageModel:
        with fetch_tree(store, candidate.model_key, candidate.model_sha256) as folder:
            return LanguageModel.load(folder)

    return score_model(store, candidate.model, candidate.model_sha256, parts, load)
