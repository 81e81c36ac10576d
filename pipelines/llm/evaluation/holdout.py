"""Held-out conversations: how likely a model finds the answers, read as training reads them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.errors import DataError
from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.corpus.preparing import kept
from pipelines.llm.evaluation.language_model import LanguageModel
from pipelines.llm.evaluation.likelihood import Counted, nats
from pipelines.llm.evaluation.scores import Part, Score
from pipelines.records import sha256_of
from pipelines.spec import LlmSpec
from pipelines.spec.corpus import GROUP_COLUMN


@dataclass(frozen=True)
class HeldOut:
    """One held-out conversation; `row` is its number in the holdout, `group` that of its near-duplicates."""

    row: int
    messages: str
    group: str

    @property
    def name(self) -> str:
        """What tells the conversation from every other, on every machine."""
        return sha256_of(self.messages.encode())

    @property
    def conversation(self) -> Conversation:
        """The messages."""
        return Conversation.from_json(self.messages)


def choose_held_out(holdout: pa.Table, spec: LlmSpec, seed: int) -> list[HeldOut]:
    """Return different held-out conversations, as many as the spec asks for: those whose salted hash is lowest.

    Conversations that packing would leave out, since their roles are out of order or they are duplicates, are not asked
    for either. A larger number of items keeps those of a smaller one.

    Args:
        holdout: The held-out rows, as `prepare` made them.
        spec: The model's spec.
        seed: Salt of the hash.

    Raises:
        DataError: If no conversation is left.
    """
    rows = np.flatnonzero(kept(holdout, spec))
    columns = [holdout.column(name).take(rows).to_pylist() for name in ("messages", GROUP_COLUMN)]
    items = [HeldOut(row, messages, str(group)) for row, messages, group in zip(rows.tolist(), *columns, strict=True)]
    if not items:
        raise DataError(
            f"{spec.name}: none of {holdout.num_rows:,} held-out conversations can be asked about: their roles are out "
            "of order, or they are duplicates. Nothing was evaluated."
        )
    return choose_items(items, spec.ability.holdout_items, seed)


def choose_items(items: Iterable[HeldOut], most: int, seed: int) -> list[HeldOut]:
    """Return at most so many different conversations: those whose salted hash is lowest, in its order."""
    return heapq.nsmallest(most, _different(items), key=lambda item: sha256_of(f"{seed}:{item.name}".encode()))


def answer_loss(items: Sequence[HeldOut], longest: int) -> Part:
    """Return the part that sums the nats of all answers of each conversation, and counts their tokens.

    Tokens are those that training learns (`pipelines.llm.packing.encoding`), the one that ends an answer among them. Of
    a conversation longer than `longest` tokens the rest is left out, as it is where training cuts it.
    """

    def score(lm: LanguageModel) -> Iterator[Score]:
        read = lm.encode_conversations([item.conversation for item in items])
        encoded = [Counted(one.ids[:longest].tolist(), one.learnt[:longest].tolist()) for one in read]
        for item, one, value in zip(items, encoded, nats(lm, encoded), strict=True):
            yield Score("answer_loss", item.name, value, float(sum(one.counts[1:])), item.group)

    return Part("answer_loss", {"items": [item.messages for item in items], "longest": longest}, score)


def _different(items: Iterable[HeldOut]) -> Iterator[HeldOut]:
    seen = set[str]()
    for item in items:
        if item.name not in seen:
            seen.add(item.name)
            yield item
