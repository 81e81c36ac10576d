"""Drift of 20 columns of the flights: 336,776 new rows against stored profiles, beside NannyML and Evidently.

    python tests/benchmarks/drift.py [--small]

Ours is all that is done for a window: the new rows' file is read and profiled, the stored reference is read, and all
columns are compared. The peers are given both sides in memory, and the reference's rows every time: they keep no
profile of it. `--small` asks each once, of a tenth of the rows: its ratios say nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import ROOT, Measured, bench_folder, median, report, run_child
from run import prepare_peers

sys.path.append(str(ROOT))

FEATURES = [
    *("carrier", "origin", "destination", "distance", "hour", "minute", "weekday", "day_of_month"),
    *("scheduled_minutes", "temperature", "dew_point", "humidity", "wind_direction", "wind_speed", "wind_gust"),
    *("precipitation", "pressure", "visibility", "plane_year", "plane_seats"),
]
FASTER_THAN = {"nannyml": 20.0, "evidently": 60.0}
TURNS = 5
MOST_MEMORY_BYTES = 600_000_000
OURS = """
import json, sys, time
from pathlib import Path
import pandas  # Arrow imports it where it is there, and the peers' imports are not counted either
from pipelines.data.profiling import profile_parquet
from pipelines.monitoring.column_drift import column_drift
from pipelines.monitoring.reference import Reference
from pipelines.spec.watching import Drift

new, stored = map(Path, sys.argv[1:])
started = time.perf_counter()
profile = profile_parquet(new)
profiled, processor = time.perf_counter(), time.process_time()
reference = Reference.model_validate_json(stored.read_bytes())
found = column_drift(reference.profile, profile, Drift(), usual=reference.usual)
ended, processor = time.perf_counter(), time.process_time() - processor
assert len(found) == 20
print(json.dumps({"profile": profiled - started, "compare": ended - profiled, "processor": processor,
                  "drifted": sum(one.drifted for one in found)}))
"""


def main() -> int:
    """Print what each took, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of the rows, each once")
    parser.add_argument("--write", action="store_true", help="write the data that is not there yet, and no more")
    options = parser.parse_args()
    small = options.small
    turns = 1 if small else TURNS
    folder = bench_folder() / ("drift_small" if small else "drift")
    if options.write:
        write_all(folder, small)
        return 0
    run_child([sys.executable, __file__, "--write", *(["--small"] if small else [])])  # what it imports stays there
    new = write_rows(folder, 1, small)
    ours = [ask_ours(new, write_reference(folder, 1, small)) for _ in range(turns)]
    seconds, memory = median([sum(parts(one)) for one in ours]), max(one.peak_memory_bytes for one in ours)
    print(f"ours: {words(ours)}, peak memory {memory / 1e6:.0f} MB", flush=True)
    ok = True
    for peer, bound in FASTER_THAN.items():
        asked = ask_peer(peer, new, 1 if peer == "evidently" else min(turns, 3))
        if asked is None:
            print(f"{peer} cannot be installed here: it is not compared with.")
            continue
        theirs = median([sum(json.loads(one.stdout.splitlines()[-1]).values()) for one in asked])
        told = "; ".join(one.stdout.splitlines()[-1] for one in asked)
        print(f"{peer}: {theirs:.2f} s {told}, peak memory {max(one.peak_memory_bytes for one in asked) / 1e6:.0f} MB")
        against = f"{peer} {theirs:.2f} s, ours {seconds:.3f} s, in the same run"
        ok &= report(f"drift.faster_than_{peer}", theirs / seconds, "x", bound, against, memory, higher_is_better=True)
    ok &= report_new_rows(folder, seconds, turns, small)
    ok &= report_reference_rows(folder, new, turns, small)
    return 0 if ok else 1


def report_new_rows(folder: Path, seconds: float, turns: int, small: bool) -> bool:
    """Profile and compare ten times as many new rows."""
    reference = write_reference(folder, 1, small)
    many = [ask_ours(write_rows(folder, 10, small), reference) for _ in range(turns)]
    ratio, memory = median([sum(parts(one)) for one in many]) / seconds, max(one.peak_memory_bytes for one in many)
    print(f"10 x the new rows: {words(many)}, peak memory {memory / 1e6:.0f} MB", flush=True)
    ok = report("drift.ten_times_new_rows", ratio, "x the seconds", 11.0, "linear in new rows: 10", memory)
    return ok & report(
        "drift.memory", memory, "bytes, most", MOST_MEMORY_BYTES, "a bound that rows do not move", memory
    )


def report_reference_rows(folder: Path, new: Path, turns: int, small: bool) -> bool:
    """Compare with references of 1, 10 and 100 times the rows; the new rows are profiled the same way each time."""
    seconds: dict[int, list[float]] = {1: [], 10: [], 100: []}
    for _ in range(2 * turns):
        for times, found in seconds.items():
            told = ask_ours(new, write_reference(folder, times, small)).stdout.splitlines()[-1]
            found.append(json.loads(told)["processor"])
    fastest = {times: min(found) for times, found in seconds.items()}
    told = ", ".join(f"{times} x {one:.3f} s" for times, one in fastest.items())
    print(f"processor seconds by reference rows: {told}", flush=True)
    worst = max(fastest.values()) / min(fastest.values())
    return report("drift.hundred_times_reference_rows", worst, "x, slowest to fastest", 1.25, "1 x, 10 x and 100 x")


def ask_ours(new: Path, reference: Path) -> Measured:
    """Let ours compare in a fresh process."""
    return run_child([sys.executable, "-c", OURS, str(new), str(reference)])


def ask_peer(peer: str, new: Path, turns: int) -> list[Measured] | None:
    """Let a peer compare the rows with themselves in fresh processes; None where it cannot be installed."""
    try:
        python = prepare_peers(f"peers_{peer}")
    except subprocess.CalledProcessError:
        return None
    script = str(Path(__file__).with_name("drift_peer.py"))
    return [run_child([python, script, peer, str(new), str(new)]) for _ in range(turns)]


def parts(measured: Measured) -> tuple[float, float]:
    """Return the seconds of profiling and of comparing."""
    told: dict[str, Any] = json.loads(measured.stdout.splitlines()[-1])
    return told["profile"], told["compare"]


def words(measured: list[Measured]) -> str:
    """Say the median of both parts."""
    profile, compare = (median([parts(one)[place] for one in measured]) for place in (0, 1))
    return f"profile {profile:.3f} s, compare {compare:.3f} s"


def write_all(folder: Path, small: bool) -> None:
    """Write everything, so that this process need not import what its children's memory would be counted with."""
    for times in (1, 10):
        write_rows(folder, times, small)
    for times in (1, 10, 100):
        write_reference(folder, times, small)


def write_rows(folder: Path, times: int, small: bool) -> Path:
    """Return the file of the year's flights with their 20 features, or a tenth of them, so many times; written once."""
    path = folder / f"new_{times}.parquet"
    if path.exists():
        return path
    from pipelines.data.parquet import ParquetWriter
    from pipelines.data.sources.flights import read_flights
    from pipelines.records import Window

    folder.mkdir(parents=True, exist_ok=True)
    rows = read_flights(Window()).read_all().select(FEATURES)
    rows = rows.take(list(range(0, rows.num_rows, 10))) if small else rows
    partial = path.with_suffix(".partial")
    with ParquetWriter(partial, rows.schema) as writer:
        for _ in range(times):
            writer.write(rows)
    partial.rename(path)
    return path


def write_reference(folder: Path, times: int, small: bool) -> Path:
    """Return the stored reference of the year's months, each of so many times its rows; written once."""
    path = folder / f"reference_{times}.json"
    if path.exists():
        return path
    from pipelines.data.profiles import merge_profiles
    from pipelines.data.profiling import profile_table
    from pipelines.data.sources.flights import read_flights
    from pipelines.monitoring.reference import choose_reference
    from pipelines.records import Window

    starts = [f"2013-{month:02}-01" for month in range(1, 13)] + ["2014-01-01"]
    profiles = {}
    for start, end in itertools.pairwise(starts):
        rows = read_flights(Window(start=start, end=end)).read_all().select(FEATURES)
        profile = profile_table(rows.slice(0, rows.num_rows // 10) if small else rows)
        profiles[start[:7]] = merge_profiles([profile] * times)
    path.write_bytes(choose_reference(profiles, "2014-01", "month", "training").to_bytes())
    return path


if __name__ == "__main__":
    sys.exit(main())
