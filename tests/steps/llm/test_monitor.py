"""Watch a language model: what it is asked, and what its answers cost and give away."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.records import (
    Candidate,
    Evaluation,
    MonitoringReport,
    Partition,
    ScoredPartition,
    Verdict,
    WindowRequest,
    sha256_of,
)
from pipelines.registry.ledger import append_entry
from pipelines.serving.prompts import ANSWER_SCHEMA
from pipelines.spec import LlmSpec
from pipelines.spec.fine_tuning import Pretrained
from pipelines.spec.watching import Drift
from pipelines.steps.context import Context
from pipelines.steps.decide import decide
from pipelines.steps.ingest import ingest
from pipelines.steps.llm.monitor import monitor
from pipelines.steps.reports import read_report
from pipelines.store.verified import write_record
from tests.llm.corpora import chat, chats, context_of, sentence, snapshot_of

AS_OF = "2026-01-02T00:00:00+00:00"
NUM_ROWS = 40


@pytest.fixture
def context(tiny_model: Path, tmp_path: Path) -> Context[LlmSpec]:
    """A version that serves: its rows are real, its weights are nobody's business here."""
    bounds = {"most_seconds_per_answer": 1.0, "most_tokens_per_answer": 50.0}
    source = {"type": "files", "paths": [str(tmp_path / "*.jsonl")], "format": "jsonl", "partition_by": "none"}
    context = context_of(tiny_model, tmp_path, source=source, monitoring={"anomalies": bounds})
    store, reference = context.store, snapshot_of(context, chats(NUM_ROWS))
    candidate = Candidate(
        model="toy", snapshot_id=reference.snapshot_id, model_key="toy/w", model_sha256="a" * 64, training_key="t",
        mlflow_run_id="r", algorithm="full", validation_metric="validation loss", validation_score=1.0, num_trials=1,
        seconds=1.0, spec_sha256="s", code_commit="c", environment_sha256="e",
    )  # fmt: skip
    evaluation = Evaluation(
        model="toy", candidate_sha256=candidate.sha256, candidate_model_sha256="a" * 64, champion_version=None,
        champion_ledger_sha256=None, champion_saw_holdout=None, snapshot_id=reference.snapshot_id, holdout_sha256="h",
        num_rows=9, metrics=(), champion_metrics=(), differences=(),
    )  # fmt: skip
    verdict = Verdict(
        model="toy", outcome="promote", results=(), candidate_sha256=candidate.sha256, champion_ledger_sha256=None,
        holdout_sha256="h", evaluation_sha256=evaluation.sha256, rules_sha256=context.spec.rules_sha256,
    )  # fmt: skip
    write_record(store, "toy/evaluations", evaluation)
    append_entry(
        store, "toy", None, action="promote", version=1, candidate_key=write_record(store, "toy/candidates", candidate),
        candidate_sha256=candidate.sha256, model_sha256="a" * 64, verdict_sha256=verdict.sha256,
        verdict_key=write_record(store, "toy/verdicts", verdict), reason="r", by="ada",
    )  # fmt: skip
    return context


def answered(context: Context[LlmSpec], folder: Path, **answer: Any) -> None:
    """Let new rows come, and write down what the version is said to have answered to them."""
    lines = [chat(f"Now tell me of {number}. {sentence(900 + number)}")["messages"] for number in range(NUM_ROWS)]
    (folder / "rows.jsonl").write_text("\n".join(f'{{"messages": {line}}}' for line in lines))
    (rows,) = ingest(context, WindowRequest()).partitions
    usual = {"answer": "It is.", "num_prompt_tokens": 9, "num_answer_tokens": 3, "seconds": 0.2, "is_toxic": False,
             "has_personal_data": False, "prompt": "Now?"}  # fmt: skip
    table = pa.Table.from_pylist([{**usual, **answer}] * rows.num_rows, ANSWER_SCHEMA)
    write_answers(context, rows, table.add_column(0, "row", pa.array(range(rows.num_rows), pa.int64())))


def write_answers(context: Context[LlmSpec], rows: Partition, table: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sha256, folder = sha256_of(sink.getvalue()), f"toy/scores/{rows.name}/{rows.content_sha256}"
    context.store.write(f"{folder}/{sha256}.parquet", sink.getvalue())
    scored = ScoredPartition(
        name=rows.name, partition_sha256=rows.content_sha256, version=1, role="champion",
        key=f"{folder}/{sha256}.parquet", content_sha256=sha256, num_rows=rows.num_rows,
        size_bytes=len(sink.getvalue()), requested_at=AS_OF,
    )  # fmt: skip
    context.store.write(f"{folder}/v1.json", scored.to_bytes())


def watched(context: Context[LlmSpec]) -> MonitoringReport:
    (key,) = monitor(context, WindowRequest(as_of=AS_OF)).report_keys
    return read_report(context.store, key)


def test_answers_as_they_should_be_raise_no_alarm(context: Context[LlmSpec], tmp_path: Path) -> None:
    answered(context, tmp_path)
    report = watched(context)
    assert (report.num_rows, report.num_labelled, report.champion_version) == (NUM_ROWS, 0, 1)
    assert report.anomalies == ()
    assert report.performance == report.estimates == report.predictions == ()
    assert watched(context) == report


@pytest.mark.parametrize(
    ("answer", "kind", "column"),
    [
        ({"seconds": 2.5}, "latency", "seconds"),
        ({"num_answer_tokens": 400}, "tokens", "num_answer_tokens"),
        ({"is_toxic": True}, "unsafe_answers", "is_toxic"),
        ({"has_personal_data": True}, "unsafe_answers", "has_personal_data"),
    ],
)
def test_answers_that_are_slow_dear_or_unsafe_raise_an_alarm(
    context: Context[LlmSpec], tmp_path: Path, answer: dict[str, Any], kind: str, column: str
) -> None:
    answered(context, tmp_path, **answer)
    assert [(one.kind, one.column) for one in watched(context).anomalies] == [(kind, column)]


def test_nothing_asks_for_a_training_and_the_look_is_recorded(context: Context[LlmSpec], tmp_path: Path) -> None:
    answered(context, tmp_path)
    decided = decide(context, monitor(context, WindowRequest(as_of=AS_OF)))
    assert (decided.outcome, decided.run_id, decided.entry_seq) == ("none", None, 1)
    assert decided.reasons[0] == "answer_loss was not measured"
    page = context.store.read(str(decided.report_key)).decode()
    assert "answer_loss was not measured" in page


def test_what_is_asked_is_compared_with_what_the_model_learnt_to_answer(
    context: Context[LlmSpec], tmp_path: Path, tiny_model: Path
) -> None:
    answered(context, tmp_path)  # every one of them begins with a word that no training question has
    found = {one.column: one for one in watched(context).columns}
    assert set(found) == {"messages (length)", "messages (words)"}
    assert [(one.drifted, one.weight) for one in found.values()] == [(True, 0.5), (True, 0.5)]
    with_embedder = context.spec.monitoring.model_copy(
        update={"drift": Drift(embedder=Pretrained(path=str(tiny_model)))}
    )
    reading = replace(context, spec=context.spec.model_copy(update={"monitoring": with_embedder}))
    found = {one.column: one for one in watched(reading).columns}
    assert found["messages (meaning)"].measure == "centroid"
    assert found["messages (meaning)"].distance is not None
    page = context.store.read(str(monitor(reading, WindowRequest(as_of=AS_OF)).report_key)).decode()
    assert "<h3>messages (meaning)</h3>" in page
    assert "<td>messages (words)</td><td>words</td>" in page
