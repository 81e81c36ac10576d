"""How likely a model finds given tokens, many sequences at once.

Sequences are sorted by length, so that little of a batch is padding, and padded on the left: what is to be predicted
stands at the end of each, and the vocabulary is scored at those places alone. The prompt that several choices share is
read once, and its keys and values are kept for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.llm.evaluation.language_model import LanguageModel


@dataclass(frozen=True)
class Counted:
    """Token ids, and which of them count: those whose likelihood given all before them is asked for.

    The first one cannot count: nothing stands before it.
    """

    ids: Sequence[int]
    counts: Sequence[bool]

    @property
    def num_kept(self) -> int:
        """How many places at the end have to be predicted from, the last one included."""
        first = next((place for place, counted in enumerate(self.counts) if counted), len(self.ids))
        return len(self.ids) - max(first, 1) + 1


@dataclass(frozen=True)
class Question:
    """A prompt's token ids, and those of each choice that may follow it; none of them empty."""

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]]


def nats(lm: LanguageModel, sequences: Sequence[Counted]) -> list[float]:
    """Return minus the log-likelihood of each sequence's counted tokens, summed, in nats; 0 where none counts."""
    found = [0.0] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda place: (len(sequences[place].ids), place))
    asked = [place for place in order if any(sequences[place].counts[1:])]
    for batch in _batches(lm, asked, [len(one.ids) for one in sequences], [one.num_kept for one in sequences]):
        for place, value in zip(batch, _nats_of(lm, [sequences[place] for place in batch]), strict=True):
            found[place] = value
    return found


def choice_nats(lm: LanguageModel, questions: Sequence[Question]) -> list[list[float]]:
    """Return minus the log-likelihood of each choice after its prompt, in nats, in the order of questions and choices.

    A question whose prompt and longest choice are longer than the model was made for loses the start of its prompt.
    """
    cut = [_within(lm, question) for question in questions]
    longest = [max(len(choice) for choice in question.choices) for question in cut]
    widths = [
        (len(question.prompt) + most) * len(question.choices) for question, most in zip(cut, longest, strict=True)
    ]
    kept = [most * len(question.choices) for question, most in zip(cut, longest, strict=True)]
    found: list[list[float]] = [[] for _ in questions]
    by_choice = sum(kept) > sum(len(question.prompt) for question in cut)  # sort by what most of the padding would be
    order = sorted(
        range(len(cut)),
        key=lambda place: (longest[place] if by_choice else len(cut[place].prompt), widths[place], place),
    )
    for batch in _batches(lm, order, widths, kept):
        for place, values in zip(batch, _choices_of(lm, [cut[place] for place in batch]), strict=True):
            found[place] = values
    return found


def _batches(
    lm: LanguageModel, order: Sequence[int], widths: Sequence[int], kept: Sequence[int]
) -> Iterator[list[int]]:
    """Cut `order` into batches whose padded tokens and predictions are within the model's bounds; one item at least."""
    batch: list[int] = []
    for place in order:
        together = [*batch, place]
        tokens = len(together) * max(widths[one] for one in together)
        predictions = len(together) * max(kept[one] for one in together)
        if batch and (tokens > lm.most_tokens or predictions > lm.most_predictions):
            yield batch
            together = [place]
        batch = together
    if batch:
        yield batch


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _nats_of(lm: LanguageModel, batch: Sequence[Counted]) -> list[float]:
    ids, mask = padded_left(lm, [one.ids for one in batch])
    kept = max(one.num_kept for one in batch)
    logits = lm.model(
        input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=kept
    ).logits
    width = ids.shape[1]
    values = []
    for row, one in enumerate(batch):
        start = width - len(one.ids)
        places = torch.tensor([start + place for place in range(1, len(one.ids)) if one.counts[place]]).to(lm.device)
        values.append(_sum_of_nats(logits[row, places - 1 - (width - kept)], ids[row, places]))
    return values


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _choices_of(lm: LanguageModel, batch: Sequence[Question]) -> list[list[float]]:
    ids, mask = padded_left(lm, [question.prompt for question in batch])
    read = lm.model(
        input_ids=ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=True, logits_to_keep=1
    )
    owners = torch.tensor([row for row, question in enumerate(batch) for _ in question.choices]).to(lm.device)
    choices = [choice for question in batch for choice in question.choices]
    firsts = torch.tensor([choice[0] for choice in choices]).to(lm.device)
    first = read.logits[:, -1].float()
    values = (torch.logsumexp(first, dim=-1)[owners] - first[owners, firsts]).tolist()
    rest = [row for row, choice in enumerate(choices) if len(choice) > 1]
    if rest:
        kept = torch.tensor(rest).to(lm.device)
        cache = read.past_key_values
        cache.batch_select_indices(owners[kept])
        own = _rest_of(lm, cache, mask[owners[kept]], [choices[row] for row in rest])
        for row, value in zip(rest, own, strict=True):
            values[row] += value
    by_question = iter(values)
    return [[next(by_question) for _ in question.choices] for question in batch]


def _rest_of(lm: LanguageModel, cache: Any, mask: torch.Tensor, choices: Sequence[Sequence[int]]) -> list[float]:
    """Return the nats of each choice's tokens after the first, given the kept keys and values of its prompt."""
    width = max(len(choice) for choice in choices) - 1
    ids = torch.full((len(choices), width), lm.padding, dtype=torch.long)
    own = torch.zeros((len(choices), width), dtype=torch.long)
    for row, choice in enumerate(choices):
        ids[row, : len(choice) - 1] = torch.tensor(choice[:-1])
        own[row, : len(choice) - 1] = 1
    ids, own = ids.to(lm.device), own.to(lm.device)
    positions = mask.sum(dim=1, keepdim=True) + torch.arange(width).to(lm.device)
    logits = lm.model(
        input_ids=ids,
        attention_mask=torch.cat([mask, own], dim=1),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).logits
    return [
        _sum_of_nats(logits[row, : len(choice) - 1], torch.tensor(choice[1:]).to(lm.device))
        for row, choice in enumerate(choices)
    ]


def _sum_of_nats(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the cross-entropy of `targets`, shape (n,), under `logits`, shape (n, vocabulary), summed in fp32."""
    return float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))


def padded_left(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows of token ids with padding before them and the mask of what is no padding, shapes (rows, longest)."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), lm.padding, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, width - len(row) :] = torch.tensor(row)
        mask[number, width - len(row) :] = 1
    return ids.to(lm.device), mask.to(lm.device)


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """Return the place of each token in its own text, as if nothing had been put before it."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def _within(lm: LanguageModel, question: Question) -> Question:
    room = lm.longest - max(len(choice) for choice in question.choices)
    return question if len(question.prompt) <= room else Question(question.prompt[-max(room, 1) :], question.choices)
