"""General ability: which choice a model finds likeliest, item by item."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.likelihood import Counted, Question, choice_nats, nats
from pipelines.llm.evaluation.scores import Part, Score
from pipelines.llm.suites import Item, read_items


def general_ability(suite: str, num_items: int, seed: int) -> Part:
    """Return the part that scores 1 where a model finds the right choice likeliest, and 0 where another.

    Raises:
        UsageError: If the package with the suites is not installed.
        DataError: If its files are not what is known of them.
    """
    items = read_items(suite, num_items, seed)

    def score(lm: LanguageModel) -> Iterator[Score]:
        for item, right in zip(items, is_right(lm, items), strict=True):
            yield Score("general_accuracy", item.name, right, slice=f"suite={suite}")

    return Part(f"general {suite}", [item.name for item in items], score)


def is_right(lm: LanguageModel, items: Sequence[Item]) -> list[float]:
    """Return 1.0 or 0.0 for each item, NaN where the model gives no number; of equally likely choices the first."""
    return [_right(item, found) for item, found in zip(items, _nats(lm, items), strict=True)]


def _right(item: Item, found: Sequence[float]) -> float:
    if not all(map(math.isfinite, found)):
        return math.nan
    lengths = [max(1, len(choice.encode())) if item.by_byte else 1 for choice in item.choices]
    by_length = [value / length for value, length in zip(found, lengths, strict=True)]
    return float(by_length.index(min(by_length)) == item.gold)


def _nats(lm: LanguageModel, items: Sequence[Item]) -> list[list[float]]:
    """Return the nats of each choice of each item; prompts that choices share are read once."""
    found: list[list[float]] = [[] for _ in items]
    pairs = [[_encoded(lm, prompt, choice) for prompt, choice in zip(i.prompts, i.choices, strict=True)] for i in items]
    shared = [place for place, own in enumerate(pairs) if len({tuple(prompt) for prompt, _ in own}) == 1]
    questions = [Question(pairs[place][0][0], [choice for _, choice in pairs[place]]) for place in shared]
    for place, values in zip(shared, choice_nats(lm, questions), strict=True):
        found[place] = values
    others = [place for place in range(len(items)) if not found[place]]
    alone = [_whole(lm, prompt, choice) for place in others for prompt, choice in pairs[place]]
    values_alone = iter(nats(lm, alone))
    for place in others:
        found[place] = [next(values_alone) for _ in pairs[place]]
    return found


def _encoded(lm: LanguageModel, prompt: str, choice: str) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt and of a choice after it, cut where lm-evaluation-harness cuts them."""
    prompt = prompt.rstrip()  # a space before a choice belongs to its first token
    before = lm.encode(prompt)
    whole = lm.encode(f"{prompt} {choice.lstrip()}")
    after = whole[len(before) :]
    return (before or [lm.beginning]), (after or whole[-1:])


def _whole(lm: LanguageModel, prompt: Sequence[int], choice: Sequence[int]) -> Counted:
    ids = [*prompt, *choice][-lm.longest :]
    return Counted(ids, [place >= len(ids) - len(choice) for place in range(len(ids))])
