"""Take a snapshot of 10.1 million clean rows: cut by key hash, proven, profiled; and profile one year of flights.

The floor of the snapshot is DuckDB writing the two sides of the same cut to Parquet, with no hash of the files, no
proof and no profile. The profile has a bound in seconds for 336,776 rows of 20 columns.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from measure import ROWS_OF_FLIGHTS, Measured, bench_folder, median, repeated_flights, report, run_child

NUM_ROWS = 30 * ROWS_OF_FLIGHTS
TURNS = 3
SNAPSHOT_BOUND = 4.0
PROFILE_BOUND_SECONDS = 1.0


def main() -> None:
    """Measure all in turns, print each turn and the figures of the medians."""
    folder = bench_folder()
    rows = repeated_flights(NUM_ROWS, folder, "parquet")
    year = repeated_flights(ROWS_OF_FLIGHTS, folder, "parquet")
    floors, snapshots, profiles = [], [], []
    for turn in range(TURNS):
        floors.append(_child("floor", rows, folder / "snapshot_floor"))
        snapshots.append(_child("snapshot", rows, folder / "snapshot_store"))
        profiles.append(_child("profile", year, folder / "snapshot_profile"))
        print(
            f"turn {turn + 1}: DuckDB's cut {floors[-1].seconds:.2f} s; snapshot {snapshots[-1].seconds:.2f} s, "
            f"{snapshots[-1].peak_memory_bytes / 1e6:.0f} MB; profile of a year {profiles[-1].seconds:.3f} s"
        )
    floor, ours, profile = (median([one.seconds for one in group]) for group in (floors, snapshots, profiles))
    memory = int(median([one.peak_memory_bytes for one in snapshots]))
    against = f"DuckDB writing both sides of the same cut, {floor:.2f} s; {NUM_ROWS} rows x 20 columns"
    report("snapshot_10m", ours / floor, "x", SNAPSHOT_BOUND, against, memory)
    against = f"{ROWS_OF_FLIGHTS} rows x 20 columns, {ROWS_OF_FLIGHTS / profile / 1e6:.1f} million rows a second"
    memory = int(median([one.peak_memory_bytes for one in profiles]))
    report("profile_336k", profile, "s", PROFILE_BOUND_SECONDS, against, memory)


def _child(what: str, rows: Path, target: Path) -> Measured:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    measured = run_child([sys.executable, __file__, what, str(rows), str(target)])
    shutil.rmtree(target)
    return Measured(float(measured.stdout), measured.peak_memory_bytes, "")


def floor(rows: Path, target: Path) -> None:
    """Let DuckDB write both sides."""
    import duckdb

    held_out = "md5('6:tandem' || strlen(id::VARCHAR) || ':' || id::VARCHAR) < '4'"
    options = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 131072)"
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        for side, condition in (("train", f"NOT {held_out}"), ("holdout", held_out)):
            connection.execute(
                f"COPY (FROM read_parquet('{rows}') WHERE {condition}) TO '{target}/{side}.parquet' {options}"
            )


def snapshot(rows: Path, target: Path) -> None:
    """Take a snapshot from a store on the same disk."""
    from pipelines.records import Partition, Validated, Window
    from pipelines.spec.environment import Environment
    from pipelines.spec.model import ClassicSpec
    from pipelines.steps.context import Context
    from pipelines.steps.snapshot import snapshot as take
    from pipelines.store.files import FileStore
    from pipelines.store.verified import file_sha256

    spec = ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "flights",
            "description": "Tells the airport.",
            "source": {"type": "files", "paths": ["x"], "format": "parquet", "time_column": "time_hour"}
            | {"key_columns": ["id"]},
            "holdout": {"by": "key", "share": 0.25},
            "training": {"task": "multiclass", "target": "origin", "features": ["dest"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "accuracy", "minimum": 0.1}]},
        }
    )
    store = FileStore(target)
    sha256 = file_sha256(rows)
    key = f"flights/clean/all/{sha256}.parquet"
    store.upload(key, rows)
    clean = Partition(name="all", key=key, content_sha256=sha256, num_rows=NUM_ROWS, size_bytes=rows.stat().st_size)
    validated = Validated(
        model="flights",
        window=Window(),
        partitions=(clean,),
        quarantined=(),
        num_rows_in=NUM_ROWS,
        num_rows_bad=0,
        checks=(),
        report_key="none",
    )
    environment = Environment.model_validate(
        {"name": "bench", "home": str(target), "store": {"uri": f"file://{target}"}}
        | {"mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": f"file://{target}"}}
    )
    reference = take(Context(spec, environment, store), validated)
    assert reference.num_rows_train + reference.num_rows_holdout == NUM_ROWS


def profile(rows: Path, target: Path) -> None:
    """Profile one Parquet file."""
    from pipelines.data.profiling import profile_parquet

    profile_parquet(rows)


def run(what: str, rows: Path, target: Path) -> None:
    """Do one of them and print the seconds it took, without Python's start and imports."""
    import pipelines.steps.snapshot  # noqa: F401

    started = time.perf_counter()
    {"floor": floor, "snapshot": snapshot, "profile": profile}[what](rows, target)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    if sys.argv[1:]:
        run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
