"""Answers that a model writes to held-out questions, compared with the answers that were held out."""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence

from pipelines.llm.evaluation.generation import generate
from pipelines.llm.evaluation.holdout import HeldOut
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.scores import Part, Score
from pipelines.llm.packing.encoding import Encoded
from pipelines.spec.fine_tuning import Ability

ANSWER = "answer"  # the measure under which an answer's text is kept; it is no metric
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def written_answers(items: Sequence[HeldOut], ability: Ability) -> Part:
    """Return the part that lets a model give the last answer of each conversation anew.

    The first `generated_items` are compared with the held-out answer (`exact_match`, `token_f1`) and with the form that
    the spec names (`format_valid`); the first `shown_answers` are kept for the reader in any case.
    """
    asked = [item for item in items if len(item.conversation.messages) > 1]
    asked = asked[: max(ability.generated_items, ability.shown_answers)]

    def score(lm: LanguageModel) -> Iterator[Score]:
        prompts = [prompt_of(one) for one in lm.encode_conversations([item.conversation for item in asked])]
        for place, (item, text) in enumerate(zip(asked, generate(lm, prompts, ability.max_new_tokens), strict=True)):
            yield Score(ANSWER, item.name, math.nan, cluster=item.group, text=text)
            if place < ability.generated_items:
                for measure, value in compare(text, item.conversation.messages[-1].content, ability):
                    yield Score(measure, item.name, value, cluster=item.group)

    settings = ability.model_dump(
        mode="json", include={"generated_items", "max_new_tokens", "answer_form", "answer_pattern"}
    )
    return Part("answers", {"items": [item.messages for item in asked], **settings}, score)


def prompt_of(encoded: Encoded) -> list[int]:
    """Return a conversation's tokens up to its last answer."""
    learnt = encoded.learnt.tolist()
    end = len(learnt) - 1 - learnt[::-1].index(True)
    while end > 0 and learnt[end - 1]:
        end -= 1
    ids: list[int] = encoded.ids[:end].tolist()
    return ids


def exact_match(answer: str, expected: str) -> float:
    """Return 1 where both are the same words; white space does not count."""
    return float(answer.split() == expected.split())


def token_f1(answer: str, expected: str) -> float:
    """Return the harmonic mean of precision and recall of an answer's words, case, punctuation and articles apart.

    Source: P. Rajpurkar et al., SQuAD (2016), section 6.1.

    >>> token_f1("The cat sat.", "a cat stood")
    0.5
    """
    ours, theirs = _words(answer), _words(expected)
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def has_form(answer: str, ability: Ability) -> float:
    """Return 1 where an answer, white space around it apart, is JSON or matches the spec's pattern as a whole."""
    if ability.answer_form == "regex":
        return float(re.fullmatch(str(ability.answer_pattern), answer.strip(), re.DOTALL) is not None)
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return 0.0
    return 1.0


def compare(answer: str, expected: str, ability: Ability) -> Iterator[tuple[str, float]]:
    """Yield every metric of one answer that is measured beside the expected one, by its name."""
    yield "exact_match", exact_match(answer, expected)
    yield "token_f1", token_f1(answer, expected)
    if ability.answer_form is not None:
        yield "format_valid", has_form(answer, ability)


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
