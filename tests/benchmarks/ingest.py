"""Ingest 10.1 million rows of CSV into partitions by month, against DuckDB's own copy of the file to one Parquet file.

Both write zstd at the same level in row groups of the same size, on the same cores, one after the other in turns.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from measure import Measured, bench_folder, median, repeated_flights, report, run_child

NUM_ROWS = 30 * 336_776
TURNS = 3
BOUND = 1.3


def main() -> None:
    """Measure both in turns, print each turn and the figures of the medians."""
    folder = bench_folder()
    csv = repeated_flights(NUM_ROWS, folder, "csv")
    print(f"{NUM_ROWS} rows x 20 columns, {csv.stat().st_size / 1e6:.0f} MB of CSV; seconds, CPU seconds, peak memory")
    copies, ingests = [], []
    for turn in range(TURNS):
        copies.append(_child("copy", csv, folder / "ingest_copy"))
        ingests.append(_child("ingest", csv, folder / "ingest_store"))
        print(f"turn {turn + 1}: DuckDB COPY {_words(copies[-1])}; ingest {_words(ingests[-1])}", flush=True)
    floor, ours = (median([measured.seconds for measured in group]) for group in (copies, ingests))
    memory = median([measured.peak_memory_bytes for measured in ingests])
    floor_memory = median([measured.peak_memory_bytes for measured in copies])
    report(
        "ingest_10m_csv",
        ours / floor,
        "x",
        BOUND,
        f"DuckDB COPY of the same CSV to one Parquet file, {floor:.2f} s; peak memory {floor_memory / 1e6:.0f} MB",
        int(memory),
    )


def _child(what: str, csv: Path, target: Path) -> Measured:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    measured = run_child([sys.executable, __file__, what, str(csv), str(target)])
    shutil.rmtree(target)
    seconds, cpu_seconds = map(float, measured.stdout.split())
    return Measured(seconds, measured.peak_memory_bytes, "", cpu_seconds)


def _words(measured: Measured) -> str:
    return f"{measured.seconds:.2f} s, {measured.cpu_seconds:.2f} s, {measured.peak_memory_bytes / 1e6:.0f} MB"


def copy(csv: Path, target: Path) -> None:
    """Let DuckDB copy the CSV to one Parquet file."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            f"COPY (FROM read_csv('{csv}')) TO '{target}/copy.parquet' "
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 131072)"
        )


def ingest(csv: Path, target: Path) -> None:
    """Read the CSV as a source and write its partitions to a store on the same disk."""
    from pipelines.data.partitions import write_partitions
    from pipelines.data.sources import open_source
    from pipelines.records import Window
    from pipelines.spec.source import FilesSource
    from pipelines.store.files import FileStore

    source = FilesSource(type="files", paths=(str(csv),), format="csv", time_column="time_hour", key_columns=("id",))
    reader = open_source(source, Window(), ["id", "time_hour"])
    ingested = write_partitions(
        FileStore(target), "flights", reader, source="", time_column="time_hour", by="month", window=Window()
    )
    assert ingested.num_rows == NUM_ROWS


def run(what: str, csv: Path, target: Path) -> None:
    """Do one of the two and print the seconds it took, without Python's start and imports."""
    import pipelines.data.partitions
    import pipelines.data.sources  # noqa: F401

    started, cpu_started = time.perf_counter(), time.process_time()
    {"copy": copy, "ingest": ingest}[what](csv, target)
    print(time.perf_counter() - started, time.process_time() - cpu_started)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
