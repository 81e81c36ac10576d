"""Let a model write: greedily, many prompts at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.likelihood import padded_left, positions_of


def generate(lm: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    """Return what a model writes after each prompt, without special tokens, in the order of the prompts.

    At each step the likeliest token is taken, so that the same model writes the same text; it ends where the model ends
    it, or after `max_new_tokens`. A prompt that leaves no room for them loses its start.
    """
    room = max(1, lm.longest - max_new_tokens)
    cut = [list(prompt)[-room:] or [lm.beginning] for prompt in prompts]
    found = [""] * len(prompts)
    order = sorted(range(len(cut)), key=lambda place: (len(cut[place]), place))
    while order:
        batch = order[:1]
        for place in order[1:]:
            width = len(cut[place]) + max_new_tokens
            if (len(batch) + 1) * width > lm.most_tokens:
                break
            batch.append(place)
        order = order[len(batch) :]
        for place, ids in zip(batch, _written(lm, [cut[place] for place in batch], max_new_tokens), strict=True):
            found[place] = str(lm.tokenizer.decode(ids, skip_special_tokens=True))
    return found


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _written(lm: LanguageModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
    ids, mask = padded_left(lm, prompts)
    ends = torch.tensor(sorted(lm.ends)).to(lm.device)
    written: list[list[int]] = [[] for _ in prompts]
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
        if len(kept) == 0:
            break
        if len(kept) < len(goes_on):  # who has ended takes no more time
            goes_on = [goes_on[row] for row in kept.tolist()]
            cache.batch_select_indices(kept)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
        read = chosen[:, None]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        positions = positions[:, -1:] + 1
    return written
