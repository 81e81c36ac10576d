"""Read conversations out of a source's rows, in any of the three forms that a spec names.

A row that cannot be read is no error: it becomes one message of the role `unreadable`, so that Great Expectations
counts it and quarantine shows it. A column that can hold no conversation is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.errors import DataError
from pipelines.records import canonical_json
from pipelines.spec.corpus import Corpus

TEXT_ROLE = "text"
"""The role of the one message of plain text, all of which is learnt."""

UNREADABLE_ROLE = "unreadable"
"""The role of what a row held where no conversation could be read from it."""

_ROLES = {"developer": "system"}  # OpenAI's newer name


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Conversation:
    """The messages of one row, in order."""

    messages: tuple[Message, ...]

    @property
    def in_order(self) -> bool:
        """Whether it is an optional system message, then user and assistant in turn, the assistant last; none empty."""
        roles = [message.role for message in self.messages]
        if not roles or not all(message.content.strip() for message in self.messages):
            return False
        if roles == [TEXT_ROLE]:
            return True
        turns = roles[1:] if roles[0] == "system" else roles
        return bool(turns) and len(turns) % 2 == 0 and turns == ["user", "assistant"] * (len(turns) // 2)

    @property
    def readable(self) -> bool:
        """Whether the row held a conversation at all."""
        return bool(self.messages) and self.messages[0].role != UNREADABLE_ROLE

    @property
    def own_text(self) -> str:
        """What was said, without a system message: that one often stands before every conversation."""
        return "\n".join(message.content for message in self.messages if message.role != "system")

    def to_json(self) -> str:
        """Return canonical JSON, `[{"content","role"}, ...]`."""
        return canonical_json([{"role": one.role, "content": one.content} for one in self.messages]).decode()

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """Return the conversation that `to_json` wrote."""
        return cls(tuple(Message(one["role"], one["content"]) for one in json.loads(text)))

    def replaced(self, contents: Sequence[str]) -> Conversation:
        """Return the conversation with other contents, in order."""
        pairs = zip(self.messages, contents, strict=True)
        return Conversation(tuple(Message(message.role, content) for message, content in pairs))


def read_conversations(batch: pa.RecordBatch, corpus: Corpus) -> Iterator[Conversation]:
    """Yield the conversation of each row of a batch, in order.

    `messages`: a list of structs with `role` and `content`, or its JSON text; a content may be a list of text parts.
    `prompt_completion`: two columns of text. `text`: one. The spec's system prompt is put before a conversation that
    has no system message. Text that is no valid UTF-8 makes its row unreadable.

    Raises:
        DataError: If a column is not there or can hold no conversation.
    """
    columns = [_values(batch, name, corpus) for name in _content_columns(corpus)]
    for values in zip(*columns, strict=True):
        messages = _messages(values, corpus)
        if messages is None:
            yield Conversation((Message(UNREADABLE_ROLE, _shown(values)),))
        elif corpus.system_prompt and corpus.form != "text" and (not messages or messages[0].role != "system"):
            yield Conversation((Message("system", corpus.system_prompt), *messages))
        else:
            yield Conversation(messages)


def _content_columns(corpus: Corpus) -> tuple[str, ...]:
    return corpus.columns[: 2 if corpus.form == "prompt_completion" else 1]  # what comes after is the document


def _values(batch: pa.RecordBatch, name: str, corpus: Corpus) -> list[Any]:
    if name not in batch.schema.names:
        raise DataError(
            f"The rows have no column {name!r}, which corpus.form {corpus.form!r} needs; they have "
            f"{', '.join(batch.schema.names)}. Nothing was prepared."
        )
    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    is_chat = corpus.form == "messages"
    allowed = "text, or a list of role and content" if is_chat else "text"
    if not (_is_text(column.type) or pa.types.is_null(column.type) or (is_chat and _is_list(column.type))):
        raise DataError(f"Column {name!r} is {column.type}; allowed: {allowed}. Nothing was prepared.")
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(item) for item in column]


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_list(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def _value(item: pa.Scalar) -> Any:
    try:
        return item.as_py()
    except UnicodeDecodeError:
        return _Undecodable("(a list with text that is no valid UTF-8)" if _is_list(item.type) else _decoded(item))


@dataclass(frozen=True)
class _Undecodable:
    """What is left of text that is no UTF-8, with U+FFFD for what cannot be read."""

    text: str


def _decoded(item: pa.Scalar) -> str:
    return bytes(item.as_buffer()).decode("utf-8", "replace")


def _messages(values: tuple[Any, ...], corpus: Corpus) -> tuple[Message, ...] | None:
    if any(value is None or isinstance(value, _Undecodable) for value in values):
        return None
    if corpus.form == "messages":
        found = _from_chat(values[0])
    elif corpus.form == "text":
        found = (Message(TEXT_ROLE, values[0]),)
    else:
        found = (Message("user", values[0]), Message("assistant", values[1]))
    return found if found is not None and all(_is_encodable(message) for message in found) else None


def _is_encodable(message: Message) -> bool:
    """Tell whether a text can be written as UTF-8; JSON's \\ud800 alone, half of a pair, cannot."""
    try:
        (message.role + message.content).encode()
    except UnicodeEncodeError:
        return False
    return True


def _from_chat(value: Any) -> tuple[Message, ...] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            return None
    if isinstance(value, Mapping):  # a whole line of OpenAI's JSONL, kept as text
        value = value.get("messages")
    if not isinstance(value, list):
        return None
    messages = [_message(item) for item in value]
    return None if any(message is None for message in messages) else tuple(one for one in messages if one is not None)


def _message(item: Any) -> Message | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("role"), str):
        return None
    role, content = str(item["role"]), _text_of(item.get("content"))
    return None if content is None else Message(_ROLES.get(role, role), content)


def _text_of(content: Any) -> str | None:
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def _shown(values: tuple[Any, ...]) -> str:
    def text(value: Any) -> str:
        if value is None:
            return "(nothing)"
        found = value.text if isinstance(value, _Undecodable) else value if isinstance(value, str) else repr(value)
        return found.encode("utf-8", "replace").decode()

    return "\n".join(map(text, values))
