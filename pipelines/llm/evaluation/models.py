"""The three models of a comparison: the challenger, what it was tuned from, and the champion that it has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import IntegrityError
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.scores import Part, Score, score_model
from pipelines.llm.pretrained import PretrainedFolder
from pipelines.records import Candidate
from pipelines.registry.champion import Champion, whole_champion
from pipelines.store import Store
from pipelines.store.trees import fetch_tree, read_tree


@dataclass(frozen=True)
class Scored:
    """What the models score on the same items."""

    challenger: list[Score]
    champion: list[Score] | None
    base: list[Score]


def found_in_store(store: Store, candidate: Candidate) -> Candidate:
    """Return a candidate whose manifest of weights is as it was written. Raises `ObjectMissing`, `IntegrityError`."""
    read_tree(store, candidate.model_key, candidate.model_sha256)
    return candidate


def check_base(store: Store, candidate: Candidate, base: PretrainedFolder) -> None:
    """Raise `IntegrityError` unless a candidate was tuned from `base`; of anything else no gain can be told."""
    tree = read_tree(store, candidate.model_key, candidate.model_sha256)
    if tree.base_sha256 != base.sha256:
        raise IntegrityError(
            f"The candidate was tuned from pretrained model {tree.base_sha256[:16]}, and the spec's, {base.folder}, is "
            f"{base.sha256[:16]}: what it gained cannot be told. It was not judged; train it again."
        )


def score_all(
    store: Store, candidate: Candidate, champion: Champion[Candidate] | None, base: PretrainedFolder, parts: list[Part]
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
            theirs = score_stored(store, champion.model, parts)
    ours = score_stored(store, candidate, parts)
    return Scored(ours, theirs, score_model(store, model, base.sha256, parts, lambda: LanguageModel.load(base.folder)))


def score_stored(store: Store, candidate: Candidate, parts: list[Part]) -> list[Score]:
    """Return a version's scores on every part; its weights are read only where a part was never scored.

    Raises:
        ObjectMissing: If the weights are gone.
        IntegrityError: If they are not what was written.
    """

    def load() -> LanguageModel:
        with fetch_tree(store, candidate.model_key, candidate.model_sha256) as folder:
            return LanguageModel.load(folder)

    return score_model(store, candidate.model, candidate.model_sha256, parts, load)
