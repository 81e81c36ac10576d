"""All that is measured of a language model, by its spec."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.llm.evaluation.answers import written_answers
from pipelines.llm.evaluation.canaries import canary_exposure
from pipelines.llm.evaluation.general import general_ability
from pipelines.llm.evaluation.holdout import HeldOut, answer_loss
from pipelines.llm.evaluation.safety import safety
from pipelines.llm.evaluation.scores import Part
from pipelines.llm.history import Training
from pipelines.llm.keys import packed_key
from pipelines.llm.packing.canaries import Canary
from pipelines.llm.packing.manifest import PackedManifest
from pipelines.records import Candidate
from pipelines.spec import LlmSpec
from pipelines.store import Store
from pipelines.store.verified import read_record


def parts_of(spec: LlmSpec, items: Sequence[HeldOut], canaries: Sequence[Canary], seed: int) -> list[Part]:
    """Return every part of an evaluation that the spec asks for.

    Args:
        spec: The model's spec.
        items: Held-out conversations.
        canaries: What was planted in the candidate's corpus.
        seed: Salt by which items of suites and safety are chosen.

    Raises:
        UsageError: If a package that a part needs is not installed.
        DataError: If a suite's files are not what is known of them.
    """
    ability = spec.ability
    parts = [answer_loss(items, spec.training.sequence_length)]
    if ability.generated_items or ability.shown_answers:
        parts.append(written_answers(items, ability))
    parts += [general_ability(suite, ability.items_per_suite, seed) for suite in ability.suites]
    parts += safety(ability.safety_items, ability.max_new_tokens, spec.corpus, seed)
    if any(canary.times for canary in canaries):
        parts.append(canary_exposure(canaries, spec))
    return parts


def read_canaries(store: Store, candidate: Candidate) -> tuple[Canary, ...]:
    """Return what was planted in the corpus that a candidate learnt. Raises `ObjectMissing`, `IntegrityError`."""
    sha256 = read_record(store, candidate.training_key, Training).packed_sha256
    return read_record(store, packed_key(candidate.model, sha256), PackedManifest, sha256).canaries
