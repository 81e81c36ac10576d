"""Likelihoods of many sequences at once, against the model read one sequence at a time."""

from __future__ import annotations

import pytest
import torch

from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.likelihood import Counted, Question, choice_nats, nats


def _ids(length: int, seed: int) -> list[int]:
    return torch.randint(3, 500, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def _naive(lm: LanguageModel, ids: list[int], counts: list[bool]) -> float:
    with torch.inference_mode():
        predicted = torch.log_softmax(lm.model(torch.tensor([ids])).logits[0], dim=-1)
    return -sum(float(predicted[place - 1, ids[place]]) for place in range(1, len(ids)) if counts[place])


def test_many_sequences_are_as_likely_together_as_alone(lm: LanguageModel) -> None:
    sequences = [_ids(length, length) for length in (2, 40, 7, 7, 133, 19, 64)]
    counts = [[place % 3 != 0 or place > 50 for place in range(len(ids))] for ids in sequences]
    found = nats(lm, [Counted(ids, marks) for ids, marks in zip(sequences, counts, strict=True)])
    assert found == pytest.approx(
        [_naive(lm, ids, marks) for ids, marks in zip(sequences, counts, strict=True)], rel=1e-5
    )


def test_a_sequence_in_which_nothing_counts_costs_nothing(lm: LanguageModel) -> None:
    ids = _ids(9, 1)
    first_alone = [True] + [False] * 8
    assert nats(lm, [Counted(ids, [False] * 9), Counted(ids, first_alone), Counted(ids[:1], [True])]) == [0.0] * 3


def test_choices_that_share_a_prompt_are_as_likely_as_if_each_were_read_whole(lm: LanguageModel) -> None:
    shapes = [(5, (3, 1, 8)), (31, (2, 2)), (5, (1, 1, 1, 1, 4)), (1, (6, 2)), (60, (12,))]
    questions = [
        Question(_ids(prompt, 10 * n), [_ids(length, 100 * n + i) for i, length in enumerate(lengths)])
        for n, (prompt, lengths) in enumerate(shapes)
    ]
    for question, found in zip(questions, choice_nats(lm, questions), strict=True):
        prompt = list(question.prompt)
        expected = [
            _naive(lm, prompt + list(choice), [False] * len(prompt) + [True] * len(choice))
            for choice in question.choices
        ]
        assert found == pytest.approx(expected, rel=1e-5)


def test_small_batches_give_what_large_ones_give(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = [Counted(_ids(length, length), [True] * length) for length in (30, 8, 80, 9, 31)]
    questions = [Question(_ids(20, n), [_ids(3, n + 1), _ids(5, n + 2)]) for n in range(6)]
    together = nats(lm, sequences), choice_nats(lm, questions)
    monkeypatch.setattr("pipelines.llm.evaluation.language_model.TOKENS_AT_ONCE", 70)
    alone = nats(lm, sequences), choice_nats(lm, questions)
    assert alone[0] == pytest.approx(together[0], rel=1e-5)
    assert [value for one in alone[1] for value in one] == pytest.approx(
        [value for one in together[1] for value in one], rel=1e-5
    )


def test_a_prompt_that_is_too_long_loses_its_start(lm: LanguageModel) -> None:
    prompt, choice = _ids(lm.longest + 100, 5), _ids(4, 6)
    kept = prompt[-(lm.longest - 4) :]
    found = choice_nats(lm, [Question(prompt, [choice])])[0][0]
    assert found == pytest.approx(_naive(lm, kept + choice, [False] * len(kept) + [True] * 4), rel=1e-4)
