"""A tiny model on its way to the registry: real data, a real fit, real records; the evaluation is written down."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from pipelines.classic.estimators.persistence import save_model
from pipelines.classic.estimators.preprocessing import TableReader
from pipelines.data.snapshots import read_manifest
from pipelines.gates.judge import judge
from pipelines.records import (
    Candidate,
    Evaluation,
    Judged,
    MetricValue,
    PairedDifference,
    Partition,
    Registered,
    SnapshotRef,
    Validated,
    Verdict,
    Window,
    sha256_of,
)
from pipelines.registry import provenance, runs
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.steps.classic.register import register
from pipelines.steps.context import Context
from pipelines.steps.promote import promote
from pipelines.steps.snapshot import snapshot
from pipelines.store.base import Store
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import write_record

SPEC: dict[str, Any] = {
    "kind": "classic",
    "name": "tiny",
    "description": "Tells whether y follows from x.",
    "source": {"type": "files", "paths": ["rows.csv"], "format": "csv", "key_columns": ["id"], "partition_by": "none"},
    "holdout": {"by": "key", "share": 0.5},
    "training": {"task": "binary", "target": "y", "features": ["x", "n", "kind"], "budget": {"trials": 1}},
    "gates": {
        "rules": [{"metric": "roc_auc", "minimum": 0.6}, {"metric": "roc_auc", "no_worse_than_champion_by": 0.01}],
        "minimum_rows": 10,
    },
}


def rows(num_rows: int = 60) -> pa.Table:
    """Return rows in which y follows from x; n is an integer that is sometimes missing."""
    x = np.linspace(-1, 1, num_rows)
    return pa.table(
        {
            "id": list(range(num_rows)),
            "x": x,
            "n": [None if number % 7 == 3 else number for number in range(num_rows)],
            "kind": ["a" if number % 2 else "b" for number in range(num_rows)],
            "y": x > 0.1 * np.sin(9 * x),
        }
    )


def _put_parquet(store: Store, folder: str, table: pa.Table) -> Partition:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet"
        pq.write_table(table, path)
        data = path.read_bytes()
    key = f"{folder}/{sha256_of(data)}.parquet"
    store.write(key, data)
    return Partition(name="all", key=key, content_sha256=sha256_of(data), num_rows=table.num_rows, size_bytes=len(data))


@dataclass(frozen=True)
class Workshop:
    """Makes what the steps before the registry make."""

    context: Context
    snapshot: SnapshotRef
    numbers: list[int] = field(default_factory=list)
    made: list[Registered] = field(default_factory=list)
    waiting: list[Registered] = field(default_factory=list)

    def candidate(self) -> Candidate:
        """Fit one more model, each another than the ones before, and store it with its record."""
        self.numbers.append(len(self.numbers))
        table, store, spec = rows(), self.context.store, self.context.spec
        features = list(spec.training.features)
        rate = 0.1 * len(self.numbers)
        booster = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2, learning_rate=rate)
        model = make_pipeline(TableReader(features), booster)
        model.fit(table, table["y"].to_numpy(zero_copy_only=False))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.skops"
            save_model(model, path)
            sha256 = sha256_of(path.read_bytes())
            store.upload(f"{spec.name}/models/{sha256}/model.skops", path)
        candidate = Candidate(
            model=spec.name,
            snapshot_id=self.snapshot.snapshot_id,
            model_key=f"{spec.name}/models/{sha256}/model.skops",
            model_sha256=sha256,
            training_key=f"{spec.name}/models/{sha256}/schedule.json",
            mlflow_run_id=runs.find_or_create_run(self.context.environment, spec, f"plan {len(self.numbers)}"),
            algorithm="boosting",
            validation_metric="cv log_loss",
            validation_score=0.8,
            num_trials=1,
            seconds=0.1,
            spec_sha256=spec.sha256,
            code_commit=provenance.code_commit(),
            environment_sha256=provenance.environment_sha256(),
        )
        write_record(store, f"{spec.name}/candidates", candidate)
        return candidate

    def judged(
        self, candidate: Candidate, roc_auc: float | None = 0.8, difference: float = 0.02, **changes: Any
    ) -> Judged:
        """Write down an evaluation, judge it by the rules of the spec, and return what the gate would leave."""
        store, spec = self.context.store, self.context.spec
        champion = champion_entry(read_ledger(store, spec.name))
        holdout = read_manifest(store, spec.name, candidate.snapshot_id).holdout
        figures = {"metric": "roc_auc", "slice": "all", "num_rows": holdout.num_rows}
        predictions = f"a prediction a row by {candidate.model_sha256}".encode()
        predictions_key = f"{spec.name}/predictions/{sha256_of(predictions)}.parquet"
        store.write(predictions_key, predictions)
        evaluation = Evaluation(
            model=spec.name,
            candidate_sha256=candidate.sha256,
            candidate_model_sha256=candidate.model_sha256,
            champion_version=champion.version if champion else None,
            champion_ledger_sha256=champion.sha256 if champion else None,
            champion_saw_holdout=None,
            snapshot_id=candidate.snapshot_id,
            holdout_sha256=holdout.content_sha256,
            num_rows=holdout.num_rows,
            metrics=(MetricValue(value=roc_auc, low=roc_auc, high=roc_auc, **figures),),
            champion_metrics=(MetricValue(value=0.7, low=0.7, high=0.7, **figures),) if champion else (),
            differences=(
                (PairedDifference(value=difference, low=difference, high=difference, **figures),) if champion else ()
            ),
            predictions_key=predictions_key,
            predictions_sha256=sha256_of(predictions),
        ).model_copy(update=changes)
        outcome, results = judge(evaluation, spec.gates)
        verdict = Verdict(
            model=spec.name,
            outcome=outcome,
            results=results,
            candidate_sha256=candidate.sha256,
            champion_ledger_sha256=evaluation.champion_ledger_sha256,
            holdout_sha256=evaluation.holdout_sha256,
            evaluation_sha256=evaluation.sha256,
            rules_sha256=spec.rules_sha256,
        )
        return self.written(verdict, evaluation)

    def written(self, verdict: Verdict, evaluation: Evaluation) -> Judged:
        """Store a verdict with its evaluation, as they are, and return the record that names them."""
        store, model = self.context.store, self.context.spec.name
        return Judged(
            model=model,
            outcome=verdict.outcome,
            verdict_key=write_record(store, f"{model}/verdicts", verdict),
            verdict_sha256=verdict.sha256,
            evaluation_key=write_record(store, f"{model}/evaluations", evaluation),
            candidate_key=f"{model}/candidates/{verdict.candidate_sha256}.json",
        )

    def registered(self) -> Registered:
        """Return one more registered challenger that the gate lets pass; make it where none is waiting."""
        return self.waiting.pop() if self.waiting else register(self.context, self.judged(self.candidate()))

    def promote_one(self) -> None:
        """Make one more champion."""
        self.made.append(self.registered())
        promote(self.context, self.made[-1], "ada")


@pytest.fixture(scope="session")
def spec() -> ClassicSpec:
    """The spec of the model `tiny`."""
    return ClassicSpec.model_validate(SPEC)


@pytest.fixture(scope="session")
def snapshot_in_store(spec: ClassicSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryStore, SnapshotRef]:
    """A store that holds nothing but the raw rows and a snapshot of them; copy it."""
    home = tmp_path_factory.mktemp("snapshot")
    environment = Environment.model_validate(
        {
            "name": "test",
            "home": home,
            "store": {"uri": "memory://snapshot"},
            "mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"},
        }
    )
    store = MemoryStore()
    raw = _put_parquet(store, "tiny/partitions/all", pa.concat_tables([rows(), rows().slice(0, 1)]))
    clean = _put_parquet(store, "tiny/clean/all", rows())
    store.write("tiny/reports/quality/report.html", b"<html></html>")
    validated = Validated(
        model="tiny",
        window=Window(),
        raw=(raw,),
        partitions=(clean,),
        quarantined=(),
        num_rows_in=61,
        num_rows_bad=1,
        checks=(),
        report_key="tiny/reports/quality/report.html",
    )
    return store, snapshot(Context(spec, environment, store), validated)


@pytest.fixture
def workshop(
    environment: Environment, spec: ClassicSpec, snapshot_in_store: tuple[MemoryStore, SnapshotRef]
) -> Workshop:
    """A workshop of its own for each test, with a snapshot taken and nothing promoted."""
    store, reference = snapshot_in_store
    return Workshop(Context(spec, environment, _copy(store)), reference)


def _copy(store: Store) -> MemoryStore:
    copied = MemoryStore()
    for info in store.list():
        copied.write(info.key, store.read(info.key))
    return copied


@dataclass(frozen=True)
class State:
    """A workshop as it stood once: MLflow's database, the store, what was promoted, and the challenger that waits."""

    database: bytes
    store: MemoryStore
    made: list[Registered]
    waiting: Registered


@pytest.fixture(scope="session")
def states(
    spec: ClassicSpec,
    snapshot_in_store: tuple[MemoryStore, SnapshotRef],
    mlflow_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[State]:
    """What a workshop looks like with 0, 1, 2 and 3 champions made: made once, since each costs most of a second."""
    home = tmp_path_factory.mktemp("champions")
    database = home / "mlflow.db"
    shutil.copyfile(mlflow_template, database)
    mlflow = {"tracking_uri": f"sqlite:///{database}", "artifact_root": f"file://{home}/artifacts"}
    fields = {"name": "test", "home": home, "store": {"uri": "memory://champions"}, "mlflow": mlflow}
    store, reference = snapshot_in_store
    workshop = Workshop(Context(spec, Environment.model_validate(fields), _copy(store)), reference)
    found = list[State]()
    for _ in range(4):
        challenger = workshop.registered()
        found.append(State(database.read_bytes(), _copy(workshop.context.store), list(workshop.made), challenger))
        workshop.waiting.append(challenger)
        workshop.promote_one()
    return found


@pytest.fixture
def champions(
    environment: Environment, spec: ClassicSpec, states: list[State], snapshot_in_store: tuple[MemoryStore, SnapshotRef]
) -> Callable[[int], Workshop]:
    """Give a workshop in which 0 to 3 versions were promoted; the files behind MLflow are shared: do not alter them."""

    def restore(count: int) -> Workshop:
        state = states[count]
        Path(environment.mlflow.tracking_uri.removeprefix("sqlite:///")).write_bytes(state.database)
        context = Context(spec, environment, _copy(state.store))
        return Workshop(context, snapshot_in_store[1], list(range(count + 1)), list(state.made), [state.waiting])

    return restore
