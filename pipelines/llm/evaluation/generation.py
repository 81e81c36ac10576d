"""Let a model write: greedily, many prompts at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.likelihood import padded_left, positions_of


@dataclass(frozen=True)
class Written:
    """What a model wrote after one prompt, without special tokens.

    `num_prompt_tokens` is what it read, `num_tokens` what it wrote, the token that ends it apart. `seconds` is how long
    the batch that the prompt was in had been at work when this text was done: what who asked waited for.
    """

    text: str
    num_prompt_tokens: int
    num_tokens: int
    seconds: float


def generate(lm: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    """Return the texts of `write`."""
    return [written.text for written in write(lm, prompts, max_new_tokens)]


def write(lm: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Written]:
    """Return what a model writes after each prompt, in the order of the prompts.

    At each step the likeliest token is taken, so that the same model writes the same text; it ends where the model ends
    it, or after `max_new_tokens`. A prompt that leaves no room for them loses its start.
    """
    room = max(1, lm.longest - max_new_tokens)
    cut = [list(prompt)[-room:] or [lm.beginning] for prompt in prompts]
    found = [Written("", 0, 0, 0.0)] * len(prompts)
    order = sorted(range(len(cut)), key=lambda place: (len(cut[place]), place))
    while order:
        batch = order[:1]
        for place in order[1:]:
            width = len(cut[place]) + max_new_tokens
            if (len(batch) + 1) * width > lm.most_tokens:
                break
            batch.append(place)
        order = order[len(batch) :]
        written = _written(lm, [cut[place] for place in batch], max_new_tokens)
        for place, (ids, seconds) in zip(batch, written, strict=True):
            text = str(lm.tokenizer.decode(ids, skip_special_tokens=True))
            found[place] = Written(text, len(cut[place]), len(ids), seconds)
    return found


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _written(lm: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[tuple[list[int], float]]:
    started = time.perf_counter()
    ids, mask = padded_left(lm, prompts)
    ends = torch.tensor(sorted(lm.ends)).to(lm.device)
    written: list[list[int]] = [[] for _ in prompts]
    seconds = [0.0] * len(prompts)
    goes_on = list(range(len(prompts)))
    read, positions, cache = ids, positions_of(mask), None
    for _ in range(max_new_tokens):
        left = lm.model(
            input_ids=read,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, chosen = left.past_key_values, left.logits[:, -1].argmax(dim=-1)
        kept = torch.isin(chosen, ends, invert=True).nonzero()[:, 0]
        for row in kept.tolist():
            written[goes_on[row]].append(int(chosen[row]))
        now = time.perf_counter() - started
        for row in goes_on:  # until it has ended
            seconds[row] = now
        if len(kept) == 0:
            break
        if len(kept) < len(goes_on):  # who has ended takes no more time
            goes_on = [goes_on[row] for row in kept.tolist()]
            cache.batch_select_indices(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
        read = chosen[:, None]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
    return list(zip(written, seconds, strict=True))
