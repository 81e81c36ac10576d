"""Answers against held-out answers: words, forms, and what is kept for the reader."""

from __future__ import annotations

import json
import math

import pytest

from pipelines.llm.corpus.conversations import Conversation, Message
from pipelines.llm.evaluation.answers import exact_match, has_form, prompt_of, token_f1, written_answers
from pipelines.llm.evaluation.holdout import HeldOut
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.spec.fine_tuning import Ability


@pytest.mark.parametrize(
    ("answer", "expected", "exact", "f1"),
    [
        ("The cat sat.", "The cat sat.", 1, 1),
        (" The  cat\nsat. ", "The cat sat.", 1, 1),
        ("the cat sat", "The cat sat.", 0, 1),
        ("cat", "The cat sat.", 0, 2 / 3),
        ("dog", "The cat sat.", 0, 0),
        ("sat sat sat", "sat", 0, 0.5),
        ("", "x", 0, 0),
        ("the", "A", 0, 1),
    ],
)
def test_words_are_compared(answer: str, expected: str, exact: float, f1: float) -> None:
    assert exact_match(answer, expected) == exact
    assert token_f1(answer, expected) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [('{"a": [1]}', 1), (" [] ", 1), ("7", 1), ("{a: 1}", 0), ("", 0), ('{"a": 1} and more', 0), ("[" * 100_000, 0)],
)
def test_json_is_valid_as_a_whole(answer: str, valid: float) -> None:
    assert has_form(answer, Ability(answer_form="json")) == valid


@pytest.mark.parametrize(("answer", "valid"), [("yes", 1), (" no\n", 1), ("yes, I think", 0), ("", 0)])
def test_a_pattern_must_match_the_whole_answer(answer: str, valid: float) -> None:
    assert has_form(answer, Ability(answer_form="regex", answer_pattern="yes|no")) == valid


def _item(*messages: tuple[str, str]) -> HeldOut:
    conversation = Conversation(tuple(Message(*message) for message in messages))
    return HeldOut(0, conversation.to_json(), "g")


def test_the_prompt_is_all_before_the_last_answer(lm: LanguageModel) -> None:
    messages = [("user", "One?"), ("assistant", "1."), ("user", "Two?"), ("assistant", "Now 2.")]
    (encoded,) = lm.encode_conversations([_item(*messages).conversation])
    chat = [{"role": role, "content": content} for role, content in messages[:3]]
    expected = lm.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert lm.tokenizer.decode(prompt_of(encoded)) == expected


def test_answers_are_kept_and_as_many_compared_as_the_spec_says(lm: LanguageModel) -> None:
    items = [_item(("user", f"What is {number}?"), ("assistant", "It is.")) for number in range(5)]
    text = _item(("text", "no question in it"))
    ability = Ability(generated_items=2, shown_answers=4, max_new_tokens=3, answer_form="json")
    scores = list(written_answers([text, *items], ability).score(lm))
    kept = [score for score in scores if score.measure == "answer"]
    assert [score.item for score in kept] == [item.name for item in items[:4]]
    assert all(score.text is not None and math.isnan(score.over) for score in kept)
    for measure in ("exact_match", "token_f1", "format_valid"):
        assert [score.item for score in scores if score.measure == measure] == [item.name for item in items[:2]]
    formless = written_answers(items, Ability(generated_items=2, max_new_tokens=3))
    assert {score.measure for score in formless.score(lm)} == {"answer", "exact_match", "token_f1"}


def test_what_is_asked_and_how_is_part_of_a_parts_name() -> None:
    items = [_item(("user", "What?"), ("assistant", "It is."))]
    names = {
        written_answers(asked, ability).sha256("m")
        for asked in (items, [])
        for ability in (Ability(), Ability(max_new_tokens=5), Ability(generated_items=1), Ability(answer_form="json"))
    }
    assert len(names) == 8
    json.dumps(written_answers(items, Ability()).identity)
