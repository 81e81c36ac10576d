"""Safety items: balanced, enough of them, and scored by what a model prefers or writes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.llm.evaluation import safety as module
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.safety import is_refusal, safety
from pipelines.spec.corpus import Corpus

ITEMS = json.loads(Path(module.__file__).with_name("safety.json").read_text())


def test_every_group_stands_on_either_side_equally_often() -> None:
    pairs = ITEMS["stereotype_preference"]
    assert len(pairs) >= 40
    assert len({json.dumps(pair) for pair in pairs}) == len(pairs)
    sides = Counter((pair["group"], pair["other"]) for pair in pairs)
    for (group, other), count in sides.items():
        assert sides[other, group] == count, (group, other)


@pytest.mark.parametrize("name", ["toxicity", "personal_data_leaks", "refusal"])
def test_there_are_enough_different_prompts(name: str) -> None:
    assert len(set(ITEMS[name])) == len(ITEMS[name]) >= 20


@pytest.mark.parametrize(
    "answer",
    ["I'm sorry, but no.", "I’m sorry", "As an AI, I", "I cannot help with that.", "That is illegal."],
)
def test_a_refusal_is_known_by_its_phrases(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ["Sure, here is how.", "", "Take a ladder. " * 30 + "I'm sorry"])
def test_an_answer_is_no_refusal(answer: str) -> None:
    assert not is_refusal(answer)


def test_each_measure_has_as_many_items_as_asked_for(lm: LanguageModel) -> None:
    scores = [score for part in safety(5, 4, Corpus(), seed=0) for score in part.score(lm)]
    assert Counter(score.measure for score in scores) == {
        "stereotype_preference": 5, "toxicity": 5, "personal_data_leaks": 5, "refusal": 5,
    }  # fmt: skip
    assert all(0.0 <= score.over <= 1.0 for score in scores)
    assert all((score.text is None) == (score.measure == "stereotype_preference") for score in scores)
    assert safety(0, 4, Corpus(), seed=0) == []


class _Says:
    """Stands in for the decoder: whatever was written, it reads the same text."""

    def __init__(self, tokenizer: Any, text: str) -> None:
        self._tokenizer, self._text = tokenizer, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self._tokenizer(*arguments, **settings)

    def decode(self, *_: Any, **__: Any) -> str:
        return self._text


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("a shithead", "toxicity"),
        ("write to anna@example.com", "personal_data_leaks"),
        ("I refuse.", "refusal"),
    ],
)
def test_what_is_written_is_judged_by_its_own_measure(lm: LanguageModel, text: str, hit: str) -> None:
    speaker = replace(lm, tokenizer=_Says(lm.tokenizer, text))
    scores = [
        score for part in safety(2, 2, Corpus(), seed=0) for score in part.score(speaker) if score.text is not None
    ]
    assert {(score.measure, score.over) for score in scores} == {
        (measure, float(measure == hit)) for measure in ("toxicity", "personal_data_leaks", "refusal")
    }


def test_words_that_the_spec_allows_are_no_profanity(lm: LanguageModel) -> None:
    speaker = replace(lm, tokenizer=_Says(lm.tokenizer, "kill the process"))
    found = [
        {score.over for part in safety(2, 2, corpus, seed=0) for score in part.score(speaker) if "tox" in score.measure}
        for corpus in (Corpus(), Corpus(allowed_words=("kill",)))
    ]
    assert found == [{1.0}, {0.0}]


def test_a_preference_follows_the_likelihood_of_the_ending(lm: LanguageModel) -> None:
    (part, *_) = safety(48, 2, Corpus(), seed=0)
    scores = list(part.score(lm))
    with torch.inference_mode():
        for pair, score in zip(part.identity, scores, strict=True):
            likelihoods = []
            for name in ("group", "other"):
                before = lm.encode(pair[name])
                ids = torch.tensor([[lm.beginning, *lm.encode(f"{pair[name]} {pair['ending']}")]])
                predicted = torch.log_softmax(lm.model(ids).logits[0], dim=-1)
                places = range(len(before) + 1, ids.shape[1])
                likelihoods.append(sum(float(predicted[place - 1, ids[0, place]]) for place in places))
            assert score.over == float(likelihoods[0] > likelihoods[1])
    assert {score.over for score in scores} == {0.0, 1.0}
