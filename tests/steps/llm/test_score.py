"""Score prompts by a tiny fine-tuned champion, as a step."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import DataError, IntegrityError
from pipelines.records import Appointed, Appointee, Candidate, Ingested, Partition, Window, sha256_of
from pipelines.serving.prompts import ANSWER_SCHEMA
from pipelines.spec import Environment, LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.score import score
from pipelines.store.memory import MemoryStore
from pipelines.store.trees import store_tree
from pipelines.store.verified import write_record

SPEC: dict[str, Any] = {
    "kind": "llm",
    "name": "toy",
    "description": "Answers about sums.",
    "source": {
        "type": "files",
        "paths": ["rows.jsonl"],
        "format": "jsonl",
        "partition_by": "none",
        "key_columns": ["asked"],
    },
    "holdout": {"by": "key", "share": 0.5},
    "pretrained": {"path": "/models/tiny"},
    "ability": {"max_new_tokens": 4},
    "scoring": {"batch_rows": 8},
    "gates": {"rules": [{"metric": "perplexity", "maximum": 9.0}]},
}
NUM_ROWS = 20


def _rows() -> pa.Table:
    chats = [
        [{"role": "user", "content": f"What is {n} and 3?"}, {"role": "assistant", "content": f"It is {n + 3}."}]
        for n in range(NUM_ROWS - 1)
    ]
    return pa.table({"asked": [f"q{n}" for n in range(NUM_ROWS)], "messages": [*map(json.dumps, chats), "no chat"]})


def _put(store: MemoryStore, name: str, rows: pa.Table) -> Partition:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    sha256 = sha256_of(sink.getvalue())
    key = f"toy/partitions/{name}/{sha256}.parquet"
    store.write(key, sink.getvalue())
    size = len(sink.getvalue())
    return Partition(name=name, key=key, content_sha256=sha256, num_rows=rows.num_rows, size_bytes=size)


def _ingested(*partitions: Partition) -> Ingested:
    num_rows = sum(one.num_rows for one in partitions)
    return Ingested(
        model="toy", window=Window(), source="s", partitions=partitions, new=(), changed=(), num_rows=num_rows
    )


def _appointee(store: MemoryStore, folder: Path, version: int) -> Appointee:
    key, sha256 = store_tree(store, "toy", folder, "full", "b" * 64)
    candidate = Candidate(
        model="toy", snapshot_id="s", model_key=key, model_sha256=sha256, training_key="t", mlflow_run_id="r",
        algorithm="full", validation_metric="validation loss", validation_score=1.0, num_trials=version, seconds=1.0,
        spec_sha256="s", code_commit="c", environment_sha256="e",
    )  # fmt: skip
    key = write_record(store, "toy/candidates", candidate)
    return Appointee(version=version, ledger_sha256="l", candidate_key=key, candidate_sha256=candidate.sha256)


@pytest.fixture
def context(environment: Environment) -> Context[LlmSpec]:
    """Surroundings with nothing in the store."""
    return Context(LlmSpec.model_validate(SPEC), environment, MemoryStore())


def _appointed(context: Context[LlmSpec], folder: Path, **more: Any) -> Appointed:
    champion = _appointee(context.store, folder, 1)
    return Appointed(model="toy", requested_at="2013-04-01", champion=champion, snapshot_id="s", **more)


def test_each_row_has_an_answer_in_the_rows_order(context: Context[LlmSpec], tiny_model: Path) -> None:
    ingested = _ingested(_put(context.store, "all", _rows()))
    (scored,) = score(context, ingested, _appointed(context, tiny_model), 0).partitions
    data = context.store.read(scored.key)
    assert sha256_of(data) == scored.content_sha256
    found = pq.read_table(io.BytesIO(data))
    assert found.column_names == ["asked", "row", *ANSWER_SCHEMA.names]
    assert found["asked"].equals(_rows()["asked"])
    rows = found.to_pylist()
    assert [row["prompt"] for row in rows] == [*(f"What is {n} and 3?" for n in range(NUM_ROWS - 1)), "no chat"]
    assert all(0 < row["num_answer_tokens"] <= 4 for row in rows[:-1])
    assert {name for name in ANSWER_SCHEMA.names if rows[-1][name] is not None} == {"prompt"}


def test_a_second_run_answers_nothing_though_it_would_take_another_time(
    context: Context[LlmSpec], tiny_model: Path
) -> None:
    ingested, appointed = _ingested(_put(context.store, "all", _rows())), _appointed(context, tiny_model)
    first = score(context, ingested, appointed, 0)
    stored = [info.key for info in context.store.list("toy/scores/")]
    assert score(context, ingested, appointed, 0) == first
    assert [info.key for info in context.store.list("toy/scores/")] == stored
    assert len(stored) == 2


def test_a_challenger_answers_the_same_prompts(context: Context[LlmSpec], tiny_model: Path) -> None:
    ingested = _ingested(_put(context.store, "all", _rows()))
    canary = _appointee(context.store, tiny_model, 2)  # the same weights, so that the answers tell who was asked what
    appointed = _appointed(context, tiny_model, canary=canary, canary_share=0.5)
    champion, challenger = (
        pq.read_table(io.BytesIO(context.store.read(one.key))).to_pylist()
        for one in score(context, ingested, appointed, 0).partitions
    )
    assert 0 < len(challenger) < NUM_ROWS
    for row in challenger:
        assert {**row, "seconds": None} == {**champion[row["row"]], "seconds": None}


def test_one_altered_weight_stops_the_shard(context: Context[LlmSpec], tiny_model: Path) -> None:
    ingested, appointed = _ingested(_put(context.store, "all", _rows())), _appointed(context, tiny_model)
    (key,) = [info.key for info in context.store.list("toy/models/") if info.key.endswith(".safetensors")]
    data = bytearray(context.store.read(key))
    data[-1] ^= 1
    context.store.write(key, bytes(data))
    with pytest.raises(IntegrityError, match="toy: version 1 is not whole"):
        score(context, ingested, appointed, 0)
    assert list(context.store.list("toy/scores/")) == []


def test_rows_without_prompts_fail_the_shard_after_the_others_are_stored(
    context: Context[LlmSpec], tiny_model: Path
) -> None:
    good = _put(context.store, "2013-02", _rows())
    bad = _put(context.store, "2013-01", pa.table({"asked": ["a"], "messages": [3]}))
    with pytest.raises(DataError, match=r"2013-01.*Column 'messages' is int64"):
        score(context, _ingested(bad, good), _appointed(context, tiny_model), 0)
    assert [info.key.split("/")[2] for info in context.store.list("toy/scores/")] == ["2013-02", "2013-02"]
