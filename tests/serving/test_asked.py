"""What is asked is the same text whether it is read from prepared training rows or from the source's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.profile_store import store_reading
from pipelines.data.sketches import WordSketch
from pipelines.errors import DataError
from pipelines.serving import asked
from pipelines.serving.asked import AskedReading
from pipelines.spec.corpus import Corpus
from pipelines.steps.llm.prepare import prepare
from pipelines.store.verified import fetch_verified
from tests.llm.corpora import context_of, ingested

QUESTIONS = ["What does `textwrap.fill` do?", "Mail ada@example.com the answer!", "What does `textwrap.fill` do?"]
ANSWER = "It wraps what it is given."


class Counting:
    """An embedder that says how often each of two words stands in a text, and keeps what it was given."""

    sha256 = "e" * 64

    def __init__(self) -> None:
        self.given: list[str] = []

    def embed(self, texts: list[str]) -> np.ndarray:
        self.given += texts
        return np.array([[text.count("textwrap"), text.count("answer")] for text in texts], float)


def rows(form: str) -> list[dict[str, Any]]:
    if form == "text":
        return [{"text": question} for question in QUESTIONS]
    if form == "prompt_completion":
        return [{"prompt": question, "completion": ANSWER} for question in QUESTIONS]
    roles = ("system", "user", "assistant")
    said = [dict(zip(roles, ("Be brief.", question, ANSWER), strict=True)) for question in QUESTIONS]
    return [{"messages": [{"role": role, "content": one[role]} for role in roles]} for one in said]


def written(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize(
    ("form", "column"), [("messages", "messages"), ("prompt_completion", "prompt"), ("text", "text")]
)
def test_prepared_rows_and_those_of_the_source_hold_the_same_questions(
    tiny_model: Path, tmp_path: Path, form: str, column: str
) -> None:
    context = context_of(tiny_model, tmp_path, corpus={"form": form})
    table = pa.Table.from_pylist(rows(form))
    (partition,) = prepare(context, ingested(context.store, table)).partitions
    with fetch_verified(context.store, partition.key, partition.content_sha256) as path:
        prepared = AskedReading(context.spec.corpus, is_prepared=True).profile(path)
    source = AskedReading(context.spec.corpus, is_prepared=False).profile(written(tmp_path, table))
    assert source == prepared
    (found,) = source.columns
    assert (found.name, found.family, found.num_rows, found.num_nulls) == (column, "text", 3, 0)
    words = dict(WordSketch.merged([found.text.words]).top(99))
    assert words["textwrap"] == 2
    assert "ada" not in words  # personal data is redacted on both sides
    assert ("wraps" in words, "brief" in words) == (False, False)


def test_a_row_without_a_question_is_a_null(tmp_path: Path) -> None:
    messages = [
        None,
        "no JSON",
        "[]",
        '[{"role": "assistant", "content": "Hello."}]',
        '[{"role":"user","content":"Hi"}]',
    ]
    path = written(tmp_path, pa.table({"messages": messages}))
    (found,) = AskedReading(Corpus(), is_prepared=False).profile(path).columns
    assert (found.num_rows, found.num_nulls) == (5, 4)


def test_rows_that_have_no_such_column_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"text": ["Hi"]}))
    with pytest.raises(DataError, match="no column 'messages'"):
        AskedReading(Corpus(), is_prepared=False).profile(path)


def test_a_part_is_read_where_there_are_very_many_rows_and_the_same_one_each_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(asked, "MOST_READ", 500)
    path = written(tmp_path, pa.table({"text": [f"row number {number}" for number in range(3_000)]}))
    reading = AskedReading(Corpus(form="text"), is_prepared=False)
    first = reading.profile(path)
    assert first.num_rows == 500
    assert reading.profile(path) == first


def test_an_embedder_reads_the_same_few_texts_in_any_order_of_rows(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(asked, "MOST_EMBEDDED", 20)
    texts = [f"textwrap and {number}" for number in range(100)]
    found = []
    for order in (texts, texts[::-1]):
        embedder = Counting()
        reading = AskedReading(Corpus(form="text"), False, embedder)
        (column,) = reading.profile(written(tmp_path, pa.table({"text": order}))).columns
        found.append((embedder.given, column.text.embedding))
    assert found[0] == found[1]
    assert len(found[0][0]) == found[0][1].count == 20
    assert found[0][1].centroid.tolist() == [1.0, 0.0]


def test_what_was_read_is_read_once_and_again_where_it_would_be_read_otherwise(
    tiny_model: Path, tmp_path: Path
) -> None:
    context = context_of(tiny_model, tmp_path)
    store = context.store
    (partition,) = ingested(store, pa.Table.from_pylist(rows("messages"))).partitions
    reading = AskedReading(Corpus(), is_prepared=False)
    made = store_reading(store, partition, reading)
    assert store_reading(store, partition, AskedReading(Corpus(), False, Counting())) != made
    assert AskedReading(Corpus(privacy={"action": "count"}), False).identity != reading.identity
    store.delete(partition.key)
    assert store_reading(store, partition, reading) == made
