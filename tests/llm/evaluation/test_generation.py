"""What a model writes, many prompts at once, against one prompt read anew for each token."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.llm.evaluation.generation import generate
from pipelines.llm.evaluation.language_model import LanguageModel


def _naive(lm: LanguageModel, prompt: list[int], max_new_tokens: int) -> str:
    ids = list(prompt)
    with torch.inference_mode():
        while len(ids) < len(prompt) + max_new_tokens:
            chosen = int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())
            if chosen in lm.ends:
                break
            ids.append(chosen)
    return str(lm.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True))


def _prompts(lm: LanguageModel) -> list[list[int]]:
    texts = ["Return", "a new list with the same items and", "What is 7 + 5?", "x", "the key is not in the dictionary"]
    return [lm.encode(text) for text in texts]


def test_many_prompts_are_continued_as_each_alone(lm: LanguageModel) -> None:
    assert generate(lm, _prompts(lm), 12) == [_naive(lm, prompt, 12) for prompt in _prompts(lm)]


def test_a_text_ends_where_the_model_ends_it_and_the_others_go_on(lm: LanguageModel) -> None:
    prompts = _prompts(lm)
    with torch.inference_mode():
        first = int(lm.model(torch.tensor([prompts[1]])).logits[0, -1].argmax())
        second = int(lm.model(torch.tensor([[*prompts[1], first]])).logits[0, -1].argmax())
    ending = replace(lm, encoder=_Ending(second))
    assert ending.ends >= {second, lm.tokenizer.eos_token_id}
    found = generate(ending, prompts, 12)
    assert found == [_naive(ending, prompt, 12) for prompt in prompts]
    assert len(found[1]) < len(generate(lm, prompts, 12)[1])


class _Ending:
    """Stands in for a chat template whose answers end with a token of one's choice."""

    def __init__(self, end_id: int) -> None:
        self.end_id = end_id


def test_small_batches_write_what_large_ones_write(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together = generate(lm, _prompts(lm), 6)
    monkeypatch.setattr("pipelines.llm.evaluation.language_model.TOKENS_AT_ONCE", 20)
    assert generate(lm, _prompts(lm), 6) == together


def test_an_empty_or_endless_prompt_is_continued_too(lm: LanguageModel) -> None:
    texts = generate(lm, [[], [5] * (lm.longest + 50)], 3)
    assert len(texts) == 2
