"""A tiny language model that serves, questions for it, and reference answers that come later."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.records import (
    Appointed,
    Appointee,
    Candidate,
    Decided,
    Monitored,
    MonitoringReport,
    WindowRequest,
)
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.decide import decide
from pipelines.steps.ingest import ingest
from pipelines.steps.llm.monitor import monitor
from pipelines.steps.llm.score import score
from pipelines.store.verified import read_record, write_record
from tests.llm.corpora import chat, sentence

TIME = "2026-01-01 06:00:00"
AS_OF = "2026-01-03T00:00:00+00:00"
NUM_ROWS = 40
LEARNT = 100  # from here on, numbers of conversations that the champion was trained on, or that were held out
References = Mapping[int, str | None]


@dataclass(frozen=True)
class Desk:
    """A tiny model that serves, and the file from which its rows are read."""

    context: Context[LlmSpec]
    file: Path
    candidate: Candidate

    def deliver(self, references: References | None = None, numbers: Sequence[int] = range(NUM_ROWS)) -> None:
        """Let the rows come, those with an answer that have one by now."""
        rows = []
        for number in numbers:
            reference = (references or {}).get(number)
            said = [question(number)] if reference is None else [question(number), reference]
            rows.append({"id": number, "time": TIME, **chat(*said)})
        self.write(rows)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.file.write_text("\n".join(map(json.dumps, rows)))

    def score(self) -> dict[int, str]:
        """Let the champion answer, and return its answers by the rows' numbers."""
        key = write_record(self.context.store, "toy/candidates", self.candidate)
        champion = Appointee(version=1, ledger_sha256="l", candidate_key=key, candidate_sha256=self.candidate.sha256)
        appointed = Appointed(model="toy", requested_at=AS_OF, champion=champion, snapshot_id="s")
        (scored,) = score(self.context, ingest(self.context, WindowRequest()), appointed, 0).partitions
        rows = pq.read_table(io.BytesIO(self.context.store.read(scored.key))).to_pylist()
        assert not any("reference" in row["prompt"] for row in rows)
        return {row["id"]: row["answer"] for row in rows}

    def monitor(self, as_of: str = AS_OF) -> Monitored:
        return monitor(self.context, WindowRequest(as_of=as_of))

    def watch(self, as_of: str = AS_OF) -> MonitoringReport:
        """Watch the window; its labels are brought from the source."""
        (key,) = self.monitor(as_of).report_keys
        return read_record(self.context.store, key, MonitoringReport)

    def decide(self, as_of: str = AS_OF) -> Decided:
        return decide(self.context, self.monitor(as_of))

    def changed(self, section: str, **fields: Any) -> Desk:
        """Return the same desk under a spec of which fields of a section are others."""
        spec = self.context.spec.model_dump()
        spec = LlmSpec.model_validate({**spec, section: {**spec[section], **fields}})
        return Desk(Context(spec, self.context.environment, self.context.store), self.file, self.candidate)


def question(number: int) -> str:
    return f"Tell me of number {number}." if number >= LEARNT else f"What is {number}? {sentence(900 + number, 9)}"


def figure(report: MonitoringReport, metric: str) -> Any:
    (found,) = [one for one in report.performance if one.metric == metric]
    return found


def kinds(report: MonitoringReport) -> list[str]:
    return [one.kind for one in report.anomalies if one.kind.endswith("_labels") or one.kind.startswith("labels")]
