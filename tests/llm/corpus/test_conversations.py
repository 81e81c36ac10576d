"""Rows become conversations in any of three forms; what cannot be read stays a row for quality to judge."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from pipelines.errors import DataError
from pipelines.llm.corpus.conversations import Conversation, Message, read_conversations
from pipelines.spec.corpus import Corpus

CHAT = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]
LIST = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))


def read(column: Any, type_: pa.DataType | None = None, **corpus: Any) -> list[Conversation]:
    columns = column if isinstance(column, dict) else {"messages": column}
    batch = pa.RecordBatch.from_pydict({name: pa.array(values, type_) for name, values in columns.items()})
    return list(read_conversations(batch, Corpus(**corpus)))


def roles(conversation: Conversation) -> list[str]:
    return [message.role for message in conversation.messages]


def chat(*pairs: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "content": content} for role, content in pairs])


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([CHAT], LIST),
        ([json.dumps(CHAT)], None),
        ([json.dumps({"messages": CHAT})], None),
        ([json.dumps([{"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]}, CHAT[1]])], None),
    ],
    ids=["list of structs", "JSON", "a line of JSONL", "parts of text"],
)
def test_a_chat_is_read_in_each_of_its_writings(values: list[Any], type_: pa.DataType | None) -> None:
    (found,) = read(values, type_)
    assert found == Conversation((Message("user", "What is 2 + 2?"), Message("assistant", "4")))
    assert found.in_order


def test_prompt_and_completion_become_question_and_answer() -> None:
    (found,) = read({"prompt": ["Why?"], "completion": ["Because."]}, form="prompt_completion")
    assert found == Conversation((Message("user", "Why?"), Message("assistant", "Because.")))


def test_plain_text_is_one_message_in_order() -> None:
    (found,) = read({"text": ["Once upon a time."]}, form="text", system_prompt="Be brief.")
    assert roles(found) == ["text"]
    assert found.in_order


def test_a_system_prompt_comes_before_a_conversation_that_has_none() -> None:
    own = chat(("system", "Mine."), ("user", "a"), ("assistant", "b"))
    found = read([json.dumps(CHAT), own], system_prompt="Be brief.")
    assert [one.messages[0].content for one in found] == ["Be brief.", "Mine."]
    assert found[0].own_text == "What is 2 + 2?\n4"


def test_a_developer_is_the_system_by_its_newer_name() -> None:
    (found,) = read([chat(("developer", "Be brief."), ("user", "a"), ("assistant", "b"))])
    assert roles(found) == ["system", "user", "assistant"]


@pytest.mark.parametrize(
    "turns",
    [
        [("assistant", "a"), ("user", "b")],
        [("user", "a"), ("user", "b"), ("assistant", "c")],
        [("user", "a"), ("assistant", "b"), ("user", "c")],
        [("user", "a"), ("system", "s"), ("assistant", "b")],
        [("user", "a"), ("tool", "t"), ("assistant", "b")],
        [("user", "a"), ("assistant", "  \n")],
        [("user", ""), ("assistant", "b")],
        [("system", "s")],
        [],
    ],
    ids=str,
)
def test_roles_out_of_order_and_empty_messages_are_told(turns: list[tuple[str, str]]) -> None:
    (found,) = read([chat(*turns)])
    assert not found.in_order


@pytest.mark.parametrize(
    "value",
    [
        None,
        "no JSON",
        "42",
        '[{"role": "user"}]',
        '[{"role": 1, "content": "a"}]',
        '[{"role": "user", "content": "\\ud800"}]',
        '[{"role": "user", "content": [{"type": "image_url"}]}]',
        "[" * 100_000,
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_row_that_holds_no_conversation_is_kept_to_be_judged(value: str | None) -> None:
    (found, good) = read([value, json.dumps(CHAT)], pa.string())
    assert roles(found) == ["unreadable"]
    assert not found.readable
    assert not found.in_order
    assert good.in_order
    found.to_json().encode()  # it can be stored


def test_invalid_utf8_spoils_its_own_row_only() -> None:
    good = json.dumps(CHAT).encode()
    data = pa.array([b'[{"role": "user", "content": "caf\xe9"}]', good]).view(pa.binary())
    column = pa.Array.from_buffers(pa.string(), 2, data.buffers())
    found = list(read_conversations(pa.RecordBatch.from_arrays([column], ["messages"]), Corpus()))
    assert roles(found[0]) == ["unreadable"]
    assert "caf\ufffd" in found[0].messages[0].content
    assert found[1].in_order


def test_invalid_utf8_inside_a_list_spoils_its_own_row_only() -> None:
    raw = pa.array([b"caf\xe9", b"fine"])
    texts = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    messages = pa.StructArray.from_arrays([pa.array(["user", "user"]), texts], ["role", "content"])
    column = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), messages)
    found = list(read_conversations(pa.RecordBatch.from_arrays([column], ["messages"]), Corpus()))
    assert [roles(one) for one in found] == [["unreadable"], ["user"]]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"no column 'messages'.*they have chat\. Nothing"):
        read({"chat": ["a"]})


def test_a_column_that_can_hold_no_conversation_is_refused() -> None:
    with pytest.raises(DataError, match="Column 'messages' is int64; allowed: text, or a list of role and content"):
        read([1, 2])
    with pytest.raises(DataError, match=r"Column 'text' is list<.*; allowed: text"):
        read({"text": [CHAT]}, LIST, form="text")


@pytest.mark.parametrize("form", ["text", "messages", "prompt_completion"])
def test_the_document_that_a_row_was_cut_from_is_no_part_of_what_is_said(form: str) -> None:
    contents = {"text": "a", "messages": json.dumps(CHAT), "prompt": "q", "completion": "a"}
    rows = {name: [content] * 2 for name, content in contents.items()}
    batch = pa.RecordBatch.from_pydict({**rows, "page": pa.array([7, None])})
    found = list(read_conversations(batch, Corpus(form=form, document_column="page")))
    assert found[0] == found[1]
    assert found[0].in_order


def test_json_and_back_is_the_same_conversation() -> None:
    conversation = Conversation((Message("user", 'ü "quoted" \n<|im_end|>'), Message("assistant", "\u2028")))
    assert Conversation.from_json(conversation.to_json()) == conversation
