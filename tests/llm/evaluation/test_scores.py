"""Scores that are kept: a model meets the same items once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.scores import Part, Score, score_model
from pipelines.store.memory import MemoryStore

SCORES = [
    Score("answer_loss", "a", 1.25, 3.0, "g", text=None),
    Score("answer", "b", math.nan, text="Ünal\nsays"),
    Score("general_accuracy", "c", 1.0, slice="suite=piqa"),
]


class Counting:
    """Counts how often a model was loaded and a part scored."""

    def __init__(self) -> None:
        self.loaded = 0
        self.scored = 0

    def load(self) -> LanguageModel:
        self.loaded += 1
        return LanguageModel(None, None, None)  # type: ignore[arg-type]

    def score(self, _: LanguageModel) -> Iterator[Score]:
        self.scored += 1
        yield from SCORES


def test_scores_come_back_as_they_were_and_the_model_is_not_loaded_again() -> None:
    store, counting = MemoryStore(), Counting()
    parts = [Part("one", {"x": 1}, counting.score), Part("two", {"x": 1}, counting.score)]
    first = score_model(store, "toy", "m" * 64, parts, counting.load)
    again = score_model(store, "toy", "m" * 64, parts, counting.load)
    assert (counting.loaded, counting.scored) == (1, 2)
    assert repr(first) == repr(again) == repr([*SCORES, *SCORES])  # NaN does not equal itself


@pytest.mark.parametrize(
    ("name", "identity", "model"), [("two", 1, "m"), ("one", 2, "m"), ("one", 1, "n"), ("one", "1", "m")]
)
def test_another_model_item_or_part_is_scored_anew(name: str, identity: object, model: str) -> None:
    store, counting = MemoryStore(), Counting()
    score_model(store, "toy", "m", [Part("one", 1, counting.score)], counting.load)
    score_model(store, "toy", model, [Part(name, identity, counting.score)], counting.load)
    assert counting.scored == 2


def test_a_part_that_fails_leaves_those_before_it_kept() -> None:
    store, counting = MemoryStore(), Counting()

    def fail(_: LanguageModel) -> Iterator[Score]:
        raise KeyboardInterrupt
        yield

    parts = [Part("one", 1, counting.score), Part("two", 1, fail)]
    with pytest.raises(KeyboardInterrupt):
        score_model(store, "toy", "m", parts, counting.load)
    score_model(store, "toy", "m", parts[:1], counting.load)
    assert counting.scored == 1
