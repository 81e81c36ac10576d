"""General ability: the choice that is likeliest, computed item by item and all at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.llm.evaluation.general import general_ability, is_right
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.suites import Item, read_items


def _naive(lm: LanguageModel, item: Item) -> float:
    """Answer as lm-evaluation-harness does: encode prompt and choice together, and cut where the prompt ends."""
    found = []
    for prompt, choice in zip(item.prompts, item.choices, strict=True):
        before, whole = lm.encode(prompt), lm.encode(f"{prompt} {choice.lstrip()}")
        with torch.inference_mode():
            predicted = torch.log_softmax(lm.model(torch.tensor([whole])).logits[0].float(), dim=-1)
        total = sum(float(predicted[place - 1, whole[place]]) for place in range(len(before), len(whole)))
        found.append(total / (len(choice.encode()) if item.by_byte else 1))
    return float(max(range(len(found)), key=found.__getitem__) == item.gold)


@pytest.mark.parametrize("suite", ["arc_easy", "piqa", "winogrande", "boolq"])
def test_items_are_answered_together_as_each_alone(lm: LanguageModel, suite: str) -> None:
    items = read_items(suite, 12, seed=0)
    found = is_right(lm, items)
    assert found == [_naive(lm, item) for item in items]
    assert 0 < sum(found) < len(items)


def test_a_choice_is_told_by_its_bytes_or_not_as_the_item_says(lm: LanguageModel) -> None:
    short_and_long = Item("x", ("Question: a?\nAnswer:",) * 2, ("a", "a a a a a a a a a a a a"), 0, by_byte=False)
    assert is_right(lm, [short_and_long]) == [1.0]
    assert is_right(lm, [replace(short_and_long, by_byte=True)]) == [_naive(lm, replace(short_and_long, by_byte=True))]


def test_an_empty_prompt_can_be_answered(lm: LanguageModel) -> None:
    assert is_right(lm, [Item("x", ("", ""), ("a list of items", "qqqq zzzz"), 0, by_byte=True)])[0] in (0.0, 1.0)


def test_a_suite_is_a_part_with_a_slice_of_its_own(lm: LanguageModel) -> None:
    part = general_ability("arc_easy", 5, seed=0)
    scores = list(part.score(lm))
    assert [score.slice for score in scores] == ["suite=arc_easy"] * 5
    assert [score.item for score in scores] == [item.name for item in read_items("arc_easy", 5, seed=0)]
    assert part.sha256("m") != general_ability("arc_easy", 5, seed=1).sha256("m") != part.sha256("n")
