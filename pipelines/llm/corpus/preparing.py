"""Turn a source's rows into prepared ones: conversations in one form, and the columns that quality is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.llm.corpus.conversations import TEXT_ROLE, Conversation, Message, read_conversations
from pipelines.llm.corpus.duplicates import DuplicateFinder, Duplicates
from pipelines.llm.corpus.language import languages_of
from pipelines.llm.corpus.personal import Finding, PersonalData
from pipelines.llm.corpus.profanity import has_profanity
from pipelines.llm.packing.encoding import ChatEncoder
from pipelines.records import sha256_of
from pipelines.spec.corpus import GROUP_COLUMN
from pipelines.spec.model import LlmSpec

_TOLD = pa.schema(
    {
        "messages": pa.string(),
        "document": pa.string(),
        "num_messages": pa.int64(),
        "num_characters": pa.int64(),
        "num_tokens": pa.int64(),
        "language": pa.string(),
        "roles_in_order": pa.bool_(),
        "num_personal": pa.int64(),
        "profanity": pa.bool_(),
        "content_sha256": pa.string(),
    }
)
_GROUPED = pa.schema({GROUP_COLUMN: pa.string(), "is_duplicate": pa.bool_(), "is_near_duplicate": pa.bool_()})
DERIVED_COLUMNS = (*_TOLD.names, *_GROUPED.names)
"""What every prepared row has, besides those columns of the source that the spec names."""


def carried_columns(spec: LlmSpec, names: Sequence[str]) -> list[str]:
    """Return the source's columns that come along: those that the spec names, and that make no conversation.

    A column that nobody asked for stays behind: personal data in it would not be found.
    """
    wanted = {spec.source.time_column, *spec.source.key_columns, *spec.gates.slices}
    for expectation in spec.quality.expectations:
        for value in expectation.kwargs.values():
            wanted |= {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)}
    made_of = set(spec.corpus.columns) - {spec.corpus.document_column}
    return [name for name in names if name in wanted and name not in made_of and name not in DERIVED_COLUMNS]


class Preparer:
    """Prepares batches of rows in two turns: what a row tells by itself, then which rows are duplicates of others."""

    def __init__(self, spec: LlmSpec, encoder: ChatEncoder) -> None:
        self._spec = spec
        self._encoder = encoder
        self._personal = PersonalData(spec.corpus.privacy)
        self._allowed = frozenset(map(str.lower, spec.corpus.allowed_words))
        self._finder = DuplicateFinder(spec.corpus.near_duplicates)
        self.findings: dict[str, int] = {}

    def told(self, batch: pa.RecordBatch, partition: str, start: int) -> pa.RecordBatch:
        """Return what each row of a batch tells by itself.

        Args:
            batch: The source's rows.
            partition: The name of their partition, and
            start: the number of the first of them in it: together they name a row that was cut from no document.
        """
        conversations = list(read_conversations(batch, self._spec.corpus))
        texts = [one.own_text for one in conversations]
        content = [sha256_of(one.to_json().encode()) for one in conversations]
        documents = self._documents(batch)
        self._finder.add(texts, content, documents)
        found = [[self._personal.find(message.content) for message in one.messages] for one in conversations]
        redacted = [self._redacted(one, each) for one, each in zip(conversations, found, strict=True)]
        self._count(found)
        told = {
            "messages": [one.to_json() for one in redacted],
            "document": [f"{partition}/{start + row}" if name is None else name for row, name in enumerate(documents)],
            "num_messages": [len(one.messages) if one.readable else 0 for one in redacted],
            "num_characters": [sum(len(message.content) for message in one.messages) for one in redacted],
            "num_tokens": self._num_tokens(redacted),
            "language": languages_of(texts),
            "roles_in_order": [one.in_order for one in conversations],
            "num_personal": [sum(map(len, each)) for each in found],
            "profanity": [has_profanity(text, self._allowed) for text in texts],
            "content_sha256": content,
        }
        carried = carried_columns(self._spec, batch.schema.names)
        return pa.RecordBatch.from_arrays(
            [*(pa.array(told[field.name], field.type) for field in _TOLD), *(batch.column(name) for name in carried)],
            schema=pa.schema([*_TOLD, *(batch.schema.field(name) for name in carried)]),
        )

    def duplicates(self) -> Duplicates:
        """Return which of all rows are duplicates, and the group of each."""
        return self._finder.find()

    def _redacted(self, conversation: Conversation, found: Sequence[Sequence[Finding]]) -> Conversation:
        pairs = zip(conversation.messages, found, strict=True)
        return conversation.replaced([self._personal.redacted(one.content, each) for one, each in pairs])

    def _count(self, found: Sequence[Sequence[Sequence[Finding]]]) -> None:
        for finding in (one for each in found for message in each for one in message):
            self.findings[finding.entity] = self.findings.get(finding.entity, 0) + 1

    def _num_tokens(self, conversations: Sequence[Conversation]) -> list[int]:
        """Return the length of each in tokens; where the roles are out of order, of the text alone."""
        plain = [
            one
            if one.in_order
            else Conversation((Message(TEXT_ROLE, "\n".join(part.content for part in one.messages)),))
            for one in conversations
        ]
        return [len(one.ids) for one in self._encoder.encode(plain)]

    def _documents(self, batch: pa.RecordBatch) -> list[str | None]:
        column = self._spec.corpus.document_column
        if column is None:
            return [None] * batch.num_rows
        values: list[Any] = batch.column(column).to_pylist()
        return [None if value is None else str(value) for value in values]


def _countable(conversation: Conversation) -> Conversation:
    if conversation.in_order:
        return conversation
    return Conversation((Message(TEXT_ROLE, "\n".join(message.content for message in conversation.messages)),))


def grouped(told: pa.RecordBatch, found: Duplicates, start: int) -> pa.RecordBatch:
    """Return rows with the group and marks of duplicates beside them; `start` is the first row's number in all."""
    rows = slice(start, start + told.num_rows)
    columns = [list(found.groups[rows]), found.exact[rows], found.near[rows]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _GROUPED, strict=True)]
    return pa.RecordBatch.from_arrays([*told.columns, *arrays], schema=pa.schema([*told.schema, *_GROUPED]))


def kept(rows: pa.RecordBatch | pa.Table, spec: LlmSpec) -> np.ndarray:
    """Return which prepared rows are trained on or asked about, shape (n,): in order, and no duplicate of another."""

    def column(name: str) -> np.ndarray:
        return np.asarray(rows.column(name).to_numpy(zero_copy_only=False), bool)

    duplicate = column("is_duplicate")
    if spec.corpus.near_duplicates.keep_one:
        duplicate = duplicate | column("is_near_duplicate")
    return np.asarray(column("roles_in_order") & ~duplicate)
