"""Rows become conversations with what quality is judged by beside them, and no cut parts near-duplicates."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.snapshots import read_holdout, read_training
from pipelines.errors import DataError, IntegrityError, QualityFailed
from pipelines.llm.corpus.conversations import Conversation
from pipelines.llm.corpus.duplicates import shingles
from pipelines.llm.corpus.preparing import DERIVED_COLUMNS
from pipelines.records import RunRequest, sha256_of
from pipelines.steps.ingest import ingest
from pipelines.steps.llm.prepare import prepare
from pipelines.steps.validate import validate
from pipelines.store.memory import MemoryStore
from tests.llm.corpora import chat, chats, context_of, ingested, prepared_rows, sentence, snapshot_of


def prepared(tiny_model: Path, tmp_path: Path, rows: Any, **spec: Any) -> list[dict[str, Any]]:
    context = context_of(tiny_model, tmp_path, **spec)
    return prepared_rows(context.store, prepare(context, ingested(context.store, rows)))


def test_every_row_has_every_derived_column(tiny_model: Path, tmp_path: Path) -> None:
    rows = prepared(tiny_model, tmp_path, chats(5))
    assert all(set(row) == set(DERIVED_COLUMNS) and None not in row.values() for row in rows)
    row = rows[3]
    assert Conversation.from_json(row["messages"]).messages[1].content == sentence(3)
    assert row["num_messages"] == 2
    assert row["num_characters"] == len("Tell me of number 3.") + len(sentence(3))
    assert row["num_tokens"] > 60
    assert (row["roles_in_order"], row["profanity"], row["num_personal"]) == (True, False, 0)
    assert row["document"] == "all/3"
    assert row["content_sha256"] == sha256_of(row["messages"].encode())


def test_the_same_rows_give_the_same_objects_and_no_second_ones(tiny_model: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    found = []
    for turn in range(2):
        context = context_of(tiny_model, tmp_path / str(turn), store)
        found.append((prepare(context, ingested(store, chats(20))), len(list(store.list()))))
    assert found[0] == found[1]


def test_the_record_tells_what_was_prepared_from_what(tiny_model: Path, tmp_path: Path) -> None:
    context = context_of(tiny_model, tmp_path)
    raw = ingested(context.store, chats(5))
    left = prepare(context, raw)
    assert left.prepared_from == raw.partitions
    assert left.partitions[0].key.startswith("toy/prepared/all/")
    assert (left.num_rows, left.new, left.source) == (5, raw.new, raw.source)


def test_only_columns_that_the_spec_names_come_along(tiny_model: Path, tmp_path: Path) -> None:
    source = {"type": "files", "paths": ["x"], "format": "jsonl", "partition_by": "none", "key_columns": ["id"]}
    rows = prepared(tiny_model, tmp_path, chats(3, id=7, email="anna@example.com", language="xx"), source=source)
    assert set(rows[0]) == {*DERIVED_COLUMNS, "id"}
    assert rows[0]["language"] != "xx"


def test_bad_rows_are_marked_for_quality_to_judge(tiny_model: Path, tmp_path: Path) -> None:
    bad = [
        chat("only a question"),
        chat("a question", "   "),
        {"messages": json.dumps([{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}])},
        {"messages": "no JSON"},
        {"messages": None},
    ]
    rows = prepared(tiny_model, tmp_path, [*bad, *chats(2)])
    assert [row["roles_in_order"] for row in rows] == [False] * 5 + [True] * 2
    assert [row["num_messages"] for row in rows] == [1, 2, 2, 0, 0, 2, 2]


def _read_from_jsonl(tiny_model: Path, tmp_path: Path, lines: list[bytes]) -> list[dict[str, Any]]:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    source = {"type": "files", "paths": [str(tmp_path / "*.jsonl")], "format": "jsonl", "partition_by": "none"}
    context = context_of(tiny_model, tmp_path, source=source)
    return prepared_rows(context.store, prepare(context, ingest(context, RunRequest())))


def test_lines_of_openais_jsonl_are_read_whatever_their_contents_are(tiny_model: Path, tmp_path: Path) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}, {"role": "assistant", "content": "Ho."}]
    plain = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So.", "weight": 1}]
    lines = [json.dumps({"messages": messages}).encode() for messages in (plain, parts)]
    rows = _read_from_jsonl(tiny_model, tmp_path, [*lines, b'{"messages": "x"}', b'{"messages": null}'])
    said = [[message.content for message in Conversation.from_json(row["messages"]).messages] for row in rows]
    assert said == [["Why?", "So."], ["Hi.", "Ho."], ["x"], ["(nothing)"]]
    assert [row["roles_in_order"] for row in rows] == [True, True, False, False]


def test_a_file_that_is_no_utf8_is_named_with_its_line(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl, line \d holds bytes that are not UTF-8"):
        _read_from_jsonl(tiny_model, tmp_path, [chats(1)[0]["messages"].encode(), b'{"messages": "caf\xe9"}'])


def test_a_corpus_without_one_conversation_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 3 rows holds a conversation in the form 'messages'.*no JSON"):
        prepared(tiny_model, tmp_path, [{"messages": "no JSON"}] * 3)


def test_invalid_utf8_is_a_bad_row_and_no_crash(tiny_model: Path, tmp_path: Path) -> None:
    good = chats(3)
    data = pa.array([b'[{"role": "user", "content": "caf\xe9"}]', *(row["messages"].encode() for row in good)])
    column = pa.Array.from_buffers(pa.string(), len(data), data.buffers())
    rows = prepared(tiny_model, tmp_path, pa.table({"messages": column}))
    assert [row["roles_in_order"] for row in rows] == [False, True, True, True]
    assert "�" in rows[0]["messages"]


def test_personal_data_is_neither_in_what_is_stored_nor_on_the_page(tiny_model: Path, tmp_path: Path) -> None:
    context = context_of(tiny_model, tmp_path)
    secret = [chat("Who is she?", "Write to anna.smith@example.com today.")]
    left = prepare(context, ingested(context.store, [*secret, *chats(2)]))
    rows = prepared_rows(context.store, left)
    assert "Write to <EMAIL_ADDRESS> today." in rows[0]["messages"]
    assert [row["num_personal"] for row in rows] == [1, 0, 0]
    page = context.store.read(str(left.report_key)).decode()
    assert "anna" not in page
    assert "&lt;EMAIL_ADDRESS&gt;" in page
    raw = Conversation.from_json(secret[0]["messages"])
    assert rows[0]["content_sha256"] == sha256_of(raw.to_json().encode())


def test_the_page_needs_nothing_but_itself_and_shows_what_was_typed_as_text(tiny_model: Path, tmp_path: Path) -> None:
    context = context_of(tiny_model, tmp_path)
    rows = [chat("<script>alert(1)</script>", ""), *chats(30)]
    left = prepare(context, ingested(context.store, rows))
    page = context.store.read(str(left.report_key)).decode()
    assert left.report_key is not None
    assert re.fullmatch(r"toy/reports/corpus/[0-9a-f]{64}\.html", left.report_key)
    assert "<script" not in page
    assert not re.search(r"https?://|src=|@import", page)
    assert "31 conversations from jsonl files rows.jsonl" in page


def test_two_hundred_thousand_tokens_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    rows = prepared(tiny_model, tmp_path, [chat("Go on.", "ab " * 100_000), *chats(2)])
    assert rows[0]["num_tokens"] > 200_000
    assert rows[0]["roles_in_order"]


def test_duplicates_only_are_refused_by_quality(tiny_model: Path, tmp_path: Path) -> None:
    single = {"type": "expect_column_values_to_be_in_set"}
    single["kwargs"] = {"column": "is_duplicate", "value_set": [False], "mostly": 0.9}
    context = context_of(tiny_model, tmp_path, quality={"max_quarantined_share": 1.0, "expectations": [single]})
    left = prepare(context, ingested(context.store, [chat("Why?", sentence(1))] * 12))
    assert [row["is_duplicate"] for row in prepared_rows(context.store, left)] == [False] + [True] * 11
    with pytest.raises(QualityFailed, match="11"):
        validate(context, left)


def test_duplicates_are_found_across_partitions(tiny_model: Path, tmp_path: Path) -> None:
    context = context_of(tiny_model, tmp_path)
    first, second = (ingested(context.store, chats(4), name) for name in ("2024-01", "2024-02"))
    both = first.model_copy(update={"partitions": (*first.partitions, *second.partitions), "num_rows": 8})
    rows = prepared_rows(context.store, prepare(context, both))
    assert [row["is_duplicate"] for row in rows] == [False] * 4 + [True] * 4
    assert [row["group"] for row in rows[:4]] == [row["group"] for row in rows[4:]]


def test_a_partition_that_was_altered_is_not_used(tiny_model: Path, tmp_path: Path) -> None:
    context = context_of(tiny_model, tmp_path)
    raw = ingested(context.store, chats(3))
    context.store.write(raw.partitions[0].key, context.store.read(raw.partitions[0].key) + b"x")
    with pytest.raises(IntegrityError, match="was altered"):
        prepare(context, raw)


def _alike(count: int) -> list[dict[str, Any]]:
    """Return rows of many documents, three in ten of which repeat a row of another document in nearly its words."""
    rows = []
    for number in range(count):
        original = number * 7 % 40 if number % 10 < 3 else 1000 + number
        words = sentence(original, 60).split()
        words[-1] = f"end{number}"
        rows.append(chat(f"Speak of {original}.", " ".join(words), page=f"page {number // 4}"))
    return rows


@pytest.mark.parametrize("keep_one", [True, False])
def test_near_duplicates_and_documents_never_cross_into_the_holdout(
    tiny_model: Path, tmp_path: Path, keep_one: bool
) -> None:
    corpus = {"document_column": "page", "near_duplicates": {"keep_one": keep_one}}
    quality = {"max_quarantined_share": 1.0}  # nothing is set aside: the groups alone must hold
    context = context_of(tiny_model, tmp_path, corpus=corpus, quality=quality)
    reference = snapshot_of(context, _alike(240))
    columns = ["messages", "document", "is_near_duplicate"]
    train = read_training(context.store, reference, columns).to_pylist()
    holdout = read_holdout(context.store, "toy", reference.snapshot_id, columns).to_pylist()
    assert len(train) + len(holdout) == 240
    assert sum(row["is_near_duplicate"] for row in [*train, *holdout]) > 20
    sides = [
        [shingles(Conversation.from_json(row["messages"]).own_text, 5) for row in side] for side in (train, holdout)
    ]
    highest = max(len(one & other) / len(one | other) for one in sides[0] for other in sides[1])
    assert highest < 0.7
    kept = [
        {row["document"] for row in side if not (keep_one and row["is_near_duplicate"])} for side in (train, holdout)
    ]
    assert not kept[0] & kept[1]


def test_ten_rows_are_a_corpus(tiny_model: Path, tmp_path: Path) -> None:
    reference = snapshot_of(context_of(tiny_model, tmp_path), chats(10))
    assert reference.num_rows_train + reference.num_rows_holdout == 10
    assert reference.num_rows_holdout > 0
