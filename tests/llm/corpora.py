"""Small corpora on their way from rows to packed sequences, with a tiny model's tokenizer."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.records import Ingested, Partition, SnapshotRef, Window, sha256_of
from pipelines.spec import Environment, LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.prepare import prepare
from pipelines.steps.snapshot import snapshot
from pipelines.steps.validate import validate
from pipelines.store import Store
from pipelines.store.memory import MemoryStore

WORDS = [f"{first}{second}{third}" for first in "bdfglm" for second in "aeiou" for third in ("n", "r", "st", "lo")]
GOOD = [
    {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": name, "value_set": [value], "mostly": 0.01}}
    for name, value in (("roles_in_order", True), ("is_duplicate", False), ("is_near_duplicate", False))
]


def context_of(model: Path, home: Path, store: Store | None = None, **changes: Any) -> Context[LlmSpec]:
    """Return the surroundings of a model that is fine-tuned from `model`; `changes` are sections of its spec."""
    spec = {
        "kind": "llm",
        "name": "toy",
        "description": "Answers.",
        "source": {"type": "files", "paths": ["rows.jsonl"], "format": "jsonl", "partition_by": "none"},
        "pretrained": {"path": str(model)},
        "quality": {"max_quarantined_share": 1.0, "expectations": GOOD},
        "holdout": {"by": "key", "share": 0.3},
        "ability": {"suites": []},
        "gates": {"rules": [{"metric": "answer_loss", "better_than_base_by": 0.0}]},
    }
    training = {"sequence_length": 512, "validation_share": 0.1, **changes.pop("training", {})}
    environment = Environment.model_validate(
        {"name": "test", "home": str(home), "store": {"uri": "memory://"}}
        | {"mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"}}
    )
    model_spec = LlmSpec.model_validate({**spec, "training": training, **changes})
    return Context(model_spec, environment, store or MemoryStore())


def chat(*contents: str, **columns: Any) -> dict[str, Any]:
    """Return a row with a conversation of user and assistant in turn."""
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"messages": json.dumps(messages), **columns}


def sentence(seed: int, num_words: int = 30) -> str:
    """Return words that are those of no other seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=num_words))


def chats(count: int, num_words: int = 30, **columns: Any) -> list[dict[str, Any]]:
    """Return rows of different conversations."""
    return [chat(f"Tell me of number {number}.", sentence(number, num_words), **columns) for number in range(count)]


def ingested(store: Store, rows: Sequence[Mapping[str, Any]] | pa.Table, name: str = "all") -> Ingested:
    """Store rows as ingest does, in one partition."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(map(dict, rows)))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    data = sink.getvalue()
    key = f"toy/partitions/{name}/{sha256_of(data)}.parquet"
    store.write(key, data)
    partition = Partition(
        name=name, key=key, content_sha256=sha256_of(data), num_rows=table.num_rows, size_bytes=len(data)
    )
    return Ingested(
        model="toy",
        window=Window(),
        source="jsonl files rows.jsonl",
        partitions=(partition,),
        new=(name,),
        changed=(),
        num_rows=table.num_rows,
    )


def prepared_rows(store: Store, prepared: Ingested) -> list[dict[str, Any]]:
    """Return all prepared rows, in order."""
    return [row for one in prepared.partitions for row in pq.read_table(io.BytesIO(store.read(one.key))).to_pylist()]


def snapshot_of(context: Context[LlmSpec], rows: Sequence[Mapping[str, Any]] | pa.Table) -> SnapshotRef:
    """Bring rows to a snapshot by the real steps."""
    return snapshot(context, validate(context, prepare(context, ingested(context.store, rows))))
