"""A tiny model that serves, and days of rows for it to answer: trained once a session, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.records import (
    Decided,
    DecisionEntry,
    Monitored,
    MonitoringReport,
    RunRequest,
    Scored,
    Window,
    WindowRequest,
)
from pipelines.registry.decisions import read_decisions
from pipelines.registry.ledger import append_entry, read_ledger
from pipelines.spec import ClassicSpec, load_environment, load_model
from pipelines.steps.classic.monitor import monitor
from pipelines.steps.context import Context
from pipelines.steps.decide import decide
from pipelines.steps.loop import run_training
from pipelines.steps.reports import read_report
from pipelines.steps.run import run_step_in
from pipelines.store import open_store

ROOT = Path(__file__).resolve().parents[2]
MODEL = "tiny"
ROWS_A_DAY = 240
TRAINING_DAYS = 12
FIRST_DAY = date(2013, 1, 1)
SPEC = """
kind: classic
name: tiny
description: Tells whether y follows from x.
schedule: {{data_start: 2013-01-01, data_end: 2013-01-13}}
source:
  type: files
  paths: ["{rows}/*.csv"]
  format: csv
  time_column: time
  partition_by: day
  key_columns: [id]
  column_types: {{id: BIGINT, time: TIMESTAMP, x: DOUBLE, z: DOUBLE, kind: VARCHAR, y: VARCHAR}}
holdout: {{by: time, last_days: 3}}
training: {{task: binary, target: y, features: [x, z, kind], budget: {{trials: 1}}}}
gates: {{rules: [{{metric: roc_auc, minimum: 0.6}}], minimum_rows: 100, bootstrap_samples: 100}}
monitoring:
  label_delay_days: {label_delay_days}
  drift: {{persistence: {{needed: 2, windows: 3}}, reference: training, joint_rows: 400}}
  performance: {{may_drop_by: 0.02, persistence: {{needed: 1, windows: 1}}, minimum_rows: 100}}
retraining: {{reasons: [performance], cooldown_days: 3, minimum_new_rows: 100}}
"""


def day(number: int) -> str:
    """Return the name of a day: 1 is the first of January."""
    return (FIRST_DAY + timedelta(days=number - 1)).isoformat()


def end_of(number: int) -> str:
    """Return the moment at which a day has just ended."""
    return f"{day(number + 1)}T00:00:00+00:00"


@dataclass(frozen=True)
class Place:
    """A store in which a tiny model serves, and the folder from which its rows are read."""

    context: Context[ClassicSpec]
    rows: Path

    def deliver(self, number: int, *, labelled: bool = True, shift: float = 0.0, is_reversed: bool = False) -> None:
        """Write a day's file: y follows from x, or from the opposite where `is_reversed`; `shift` moves x."""
        write_day(self.rows, number, labelled=labelled, shift=shift, is_reversed=is_reversed)

    def score(self, first: int, last: int | None = None, as_of: str | None = None) -> Scored:
        """Let the champion answer days, as of the end of the last one."""
        last = first if last is None else last
        window = Window(start=day(first), end=day(last + 1))
        request = WindowRequest(window=window, as_of=as_of or end_of(last), by="test").to_dict()
        appointed = run_step_in(self.context, "appoint", request)
        ingested = run_step_in(self.context, "ingest", request)
        shard = run_step_in(self.context, "score", ingested, appointed, 0)
        return Scored.from_dict(run_step_in(self.context, "collect", ingested, appointed, [shard]))

    def monitor(self, number: int, as_of: str | None = None, replay: str | None = None) -> Monitored:
        """Watch one day, as of its end."""
        window = Window(start=day(number), end=day(number + 1))
        return monitor(self.context, WindowRequest(window=window, as_of=as_of or end_of(number), replay=replay))

    def newest(self, monitored: Monitored, replay: str | None = None) -> MonitoringReport:
        """Return the report of the last window that was watched."""
        return read_report(self.context.within(replay).store, monitored.report_keys[-1])

    def watch(self, number: int, as_of: str | None = None) -> MonitoringReport:
        """Watch one day and return its report."""
        return self.newest(self.monitor(number, as_of))

    def decide(self, number: int, as_of: str | None = None, replay: str | None = None) -> Decided:
        """Watch one day and decide."""
        return decide(self.context, self.monitor(number, as_of, replay))

    def live(self, number: int, **delivery: Any) -> MonitoringReport:
        """Deliver, answer and watch one day."""
        self.deliver(number, **delivery)
        self.score(number)
        return self.watch(number)

    def decisions(self, replay: str | None = None) -> list[DecisionEntry]:
        """Return the chain."""
        return read_decisions(self.context.within(replay).store, MODEL)

    def keys(self, folder: str) -> list[str]:
        """Return the keys of a folder of the model."""
        return [info.key for info in self.context.store.list(f"{MODEL}/{folder}")]

    def changed(self, section: str, **fields: Any) -> Place:
        """Return the same place under a spec of which fields of a section are others."""
        found = getattr(self.context.spec, section).model_copy(update=fields)
        spec = self.context.spec.model_copy(update={section: found})
        return Place(Context(spec, self.context.environment, self.context.store), self.rows)


def write_day(
    folder: Path, number: int, *, labelled: bool = True, shift: float = 0.0, is_reversed: bool = False
) -> None:
    """Write the file of a day."""
    chance = np.random.default_rng(number)
    lines = ["id,time,x,z,kind,y"]
    for row in range(ROWS_A_DAY):
        x, z, noise = chance.uniform(-1, 1), chance.normal(), chance.normal(0, 0.3)
        label = ("yes" if (x + noise > 0) != is_reversed else "no") if labelled else ""
        minute = f"{row // 10:02d}:{row % 10 * 5:02d}"
        lines.append(f"{number * 1000 + row},{day(number)} {minute}:00,{x + shift:.6f},{z:.6f},{'ab'[row % 2]},{label}")
    (folder / f"{day(number)}.csv").write_text("\n".join(lines) + "\n")


def train_tiny(folder: Path, label_delay_days: float = 0.0) -> None:
    """Write rows and spec under a folder, and train a champion there."""
    (folder / "rows").mkdir(parents=True)
    for number in range(1, TRAINING_DAYS + 1):
        write_day(folder / "rows", number)
    _write_spec(folder, label_delay_days)
    with pytest.MonkeyPatch.context() as patch:
        _enter(patch, folder)
        run_training(MODEL, RunRequest(by="test", run_id="first", as_of=end_of(TRAINING_DAYS - 3)))


def copy_tiny(before: Path, after: Path, patch: pytest.MonkeyPatch, label_delay_days: float = 0.0) -> Place:
    """Copy a folder in which a champion serves, and go to work there."""
    for name in ("rows", "home"):
        shutil.copytree(before / name, after / name)
    _write_spec(after, label_delay_days)
    _enter(patch, after)
    spec, environment = load_model(MODEL), load_environment()
    assert isinstance(spec, ClassicSpec)
    return Place(Context(spec, environment, open_store(environment.store)), after / "rows")


def kinds(report: MonitoringReport) -> list[tuple[str, str]]:
    """Return kind and severity of each alarm."""
    return [(one.kind, one.severity) for one in report.anomalies]


def drifted(report: MonitoringReport) -> Sequence[str]:
    """Return the columns that have drifted in a window."""
    return [one.column for one in report.columns if one.drifted]


def _write_spec(folder: Path, label_delay_days: float) -> None:
    models = folder / "root" / "config" / "models"
    models.mkdir(parents=True)
    (models.parent / "environments").symlink_to(ROOT / "config" / "environments")
    text = SPEC.format(rows=folder / "rows", label_delay_days=label_delay_days)
    (models / f"{MODEL}.yaml").write_text(text)


def _enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("TANDEM_ROOT", str(folder / "root"))
    patch.setenv("TANDEM_HOME", str(folder / "home"))


def second_champion(place: Place) -> None:
    """Let a second version serve: the first one's model under another number."""
    store = place.context.store
    (entry,) = read_ledger(store, MODEL)
    append_entry(
        store, MODEL, entry.sha256, action="promote", version=2, candidate_key=entry.candidate_key,
        candidate_sha256=entry.candidate_sha256, model_sha256=entry.model_sha256, verdict_key=entry.verdict_key,
        verdict_sha256=entry.verdict_sha256, reason="it is newer", by="ada",
    )  # fmt: skip
