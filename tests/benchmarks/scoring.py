"""Let a champion answer a million flights by the step `score`, against a bare loop of the same model; then ten million.

The loop reads the same columns of the same Parquet file in batches of the same size and lets the same model predict: it
looks nothing up, hashes nothing and keeps nothing. Both run on the same cores, one after the other in turns.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Measured, bench_folder, median, repeated_flights, report, run_child

if TYPE_CHECKING:
    from pipelines.records import Candidate
    from pipelines.steps.context import Context

NUM_ROWS = (1_000_000, 10_000_000)
TURNS = 3
BOUND = 0.9
MOST_GROWTH = 1.15  # of peak memory, for ten times the rows
FEATURES = ["month", "day", "sched_dep_time", "carrier", "origin", "dest", "distance", "hour", "minute", "flight"]
ITERATIONS = 50


def main() -> int:
    """Measure both in turns, and the memory at both sizes; print each turn and the figures of the medians."""
    folder = bench_folder() / "scoring"
    folder.mkdir(exist_ok=True)
    small, large = NUM_ROWS
    for num_rows in NUM_ROWS:  # not here: the kernel counts a child's peak memory from its parent's
        run_child([sys.executable, __file__, "rows", str(folder), str(num_rows)])
    print(run_child([sys.executable, __file__, "fit", str(folder), str(small)]).stdout.strip(), flush=True)
    found: dict[str, list[Measured]] = {"bare": [], "score": []}
    for turn in range(TURNS):
        for what, group in found.items():
            group.append(_child(what, folder, small))
        shown = ", ".join(f"{what} {_words(group[-1], small)}" for what, group in found.items())
        print(f"{small:,} rows, turn {turn + 1}: {shown}", flush=True)
    bare, ours = (median([one.seconds for one in group]) for group in found.values())
    memory = int(median([one.peak_memory_bytes for one in found["score"]]))
    against = f"a bare loop of the same model over {small:,} rows, {small / bare:,.0f} rows/s"
    ok = report("scoring", bare / ours, "x", BOUND, against, memory, higher_is_better=True)
    much = _child("score", folder, large)
    print(f"{large:,} rows: score {_words(much, large)}", flush=True)
    against = f"peak memory at {small:,} rows, {memory / 1e6:.0f} MB"
    ok &= report("scoring_memory", much.peak_memory_bytes / memory, "x", MOST_GROWTH, against, much.peak_memory_bytes)
    return 0 if ok else 1


def _child(what: str, folder: Path, num_rows: int) -> Measured:
    measured = run_child([sys.executable, __file__, what, str(folder), str(num_rows)])
    return Measured(float(measured.stdout.split()[-1]), measured.peak_memory_bytes, "")


def _words(measured: Measured, num_rows: int) -> str:
    return f"{num_rows / measured.seconds:,.0f} rows/s with {measured.peak_memory_bytes / 1e6:.0f} MB"


def fit(folder: Path, num_rows: int) -> None:
    """Fit the model on the rows of one year, once."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    from pipelines.classic.estimators.persistence import save_model
    from pipelines.classic.estimators.preprocessing import TableReader

    if not (folder / "model.skops").exists():
        path = repeated_flights(num_rows, folder.parent, "parquet")
        rows = next(pq.ParquetFile(path).iter_batches(200_000))
        late = pc.fill_null(pc.greater(rows.column("arr_delay"), 15), True).to_numpy(zero_copy_only=False)
        booster = HistGradientBoostingClassifier(max_iter=ITERATIONS, early_stopping=False, random_state=0)
        model = make_pipeline(TableReader(FEATURES), booster)
        model.fit(rows.select(FEATURES), late)
        save_model(model, folder / "model.skops")
    print(f"model: gradient boosting, {ITERATIONS} iterations, {len(FEATURES)} features")


def rows(folder: Path, num_rows: int) -> None:
    """Make the file of so many flights, once."""
    repeated_flights(num_rows, folder.parent, "parquet")


def bare(folder: Path, num_rows: int) -> None:
    """Predict every batch of the file and forget it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipelines.classic.estimators.persistence import load_model

    batch_rows = _spec().scoring.batch_rows
    path = repeated_flights(num_rows, folder.parent, "parquet")
    started = time.perf_counter()
    model, predicted = load_model(folder / "model.skops"), 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_rows, columns=FEATURES):
            predicted += len(model.predict_proba(pa.Table.from_batches([batch])))
    assert predicted == num_rows
    print(time.perf_counter() - started)


def score(folder: Path, num_rows: int) -> None:
    """Run the step on a store that holds the file as one partition."""
    import shutil
    import tempfile

    from pipelines.records import Appointed, Appointee, Ingested, Partition, Window
    from pipelines.spec import Environment
    from pipelines.steps.classic.score import score as run
    from pipelines.steps.context import Context
    from pipelines.store.files import FileStore
    from pipelines.store.verified import file_sha256

    path = repeated_flights(num_rows, folder.parent, "parquet")
    with tempfile.TemporaryDirectory(dir=folder) as home:
        store = FileStore(Path(home) / "store")
        mlflow = {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"}
        place = {"name": "bench", "home": home, "store": {"uri": f"file://{home}/store"}, "mlflow": mlflow}
        context = Context(_spec(), Environment.model_validate(place), store)
        sha256, size = file_sha256(path), path.stat().st_size
        key = f"flights/partitions/all/{sha256}.parquet"
        store.upload(key, path)
        partition = Partition(name="all", key=key, content_sha256=sha256, num_rows=num_rows, size_bytes=size)
        ingested = Ingested(
            model="flights", window=Window(), source="", partitions=(partition,), new=(), changed=(), num_rows=num_rows
        )
        candidate = _candidate(context, folder / "model.skops")
        key = f"flights/candidates/{candidate.sha256}.json"
        champion = Appointee(version=1, ledger_sha256="0", candidate_key=key, candidate_sha256=candidate.sha256)
        appointed = Appointed(model="flights", requested_at="2013-01-01", champion=champion, snapshot_id="0")
        started = time.perf_counter()
        shard = run(context, ingested, appointed, 0)
        seconds = time.perf_counter() - started
        assert shard.partitions[0].num_rows == num_rows
        shutil.rmtree(home, ignore_errors=True)
        Path(home).mkdir()
    print(seconds)


def _spec() -> Any:
    from pipelines.spec.model import ClassicSpec

    source = {"type": "files", "paths": ["x"], "format": "parquet", "time_column": "time_hour", "key_columns": ["id"]}
    training = {"task": "binary", "target": "late", "features": FEATURES, "budget": {"trials": 1}}
    gates = {"rules": [{"metric": "roc_auc", "minimum": 0.6}]}
    named = {"kind": "classic", "name": "flights", "description": "Scoring, measured.", "source": source}
    return ClassicSpec.model_validate(
        {**named, "holdout": {"by": "key", "share": 0.1}, "training": training, "gates": gates}
    )


def _candidate(context: Context[Any], path: Path) -> Candidate:
    """Store the model and the record that names it."""
    from pipelines.records import Candidate
    from pipelines.store.verified import file_sha256, write_record

    sha256 = file_sha256(path)
    key = f"flights/models/{sha256}/model.skops"
    context.store.upload(key, path)
    candidate = Candidate(
        model="flights", snapshot_id="0", model_key=key, model_sha256=sha256, training_key="t", mlflow_run_id="r",
        algorithm="boosting", validation_metric="log_loss", validation_score=0.0, num_trials=1, seconds=1.0,
        spec_sha256="s", code_commit="c", environment_sha256="e",
    )  # fmt: skip
    write_record(context.store, "flights/candidates", candidate)
    return candidate


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    {"rows": rows, "fit": fit, "bare": bare, "score": score}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
