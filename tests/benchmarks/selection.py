"""How near the search comes to the best of FLAML and three defaults, on real sets, with equal time and cores.

    python tests/benchmarks/selection.py [--sets houses,loans] [--seconds 40]

The distance on a set is how far our test loss (log loss or root mean squared error) is above that of the best peer,
in percent; 0 where ours is the best. All of it takes about 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from measure import Measured, bench_folder, report, run_child

HERE = Path(__file__).resolve().parent
DEFAULTS = ("boosting", "forest", "linear")
LEVELS_SECONDS = 10.0


def main() -> int:
    """Print a table and four figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default="", help="names, separated by commas; all where left out")
    parser.add_argument("--seconds", type=float, default=40.0, help="budget of each search")
    options = parser.parse_args()
    folder = sets_folder()
    tasks = json.loads((folder / "sets.json").read_text())
    chosen = options.sets.split(",") if options.sets else list(tasks)
    ours, flaml, distances, overruns, peak = [], [], [], [], 0
    print(f"{'set':14}{'ours':>12}{'flaml':>12}" + "".join(f"{kind:>12}" for kind in DEFAULTS) + f"{'above best':>12}")
    for name in chosen:
        losses, about, memory = measure_set(folder, name, tasks[name], options.seconds)
        best = min(loss for kind, loss in losses.items() if kind != "search")
        distances.append(100 * max(0.0, losses["search"] / best - 1))
        ours.append(losses["search"])
        flaml.append(losses["flaml"])
        overruns.append(about["search"]["seconds"] / options.seconds)
        peak = max(peak, memory)
        columns = "".join(f"{losses[kind]:12.5g}" for kind in ("search", "flaml", *DEFAULTS))
        print(f"{name:14}{columns}{distances[-1]:11.1f} %", flush=True)
        for kind in ("search", "flaml"):
            print(f"    {kind} {about[kind]['seconds']:.1f} s: {about[kind]['model']}", flush=True)
    better = 100 * sum(one < other for one, other in zip(ours, flaml, strict=True)) / len(ours)
    what = f"{len(chosen)} sets, {options.seconds:g} s, {cores()} cores"
    ok = report(
        "selection.distance",
        sum(distances) / len(distances),
        "% above the best peer, mean",
        2.5,
        f"best of FLAML with ensemble, boosting, forest, linear; {what}",
        peak,
    )
    ok &= report(
        "selection.better_than_flaml", better, "% of sets", 50.1, f"FLAML with ensemble; {what}", higher_is_better=True
    )
    ok &= report("selection.budget", max(overruns), "of the budget, most", 1.1, what)
    ok &= report_levels(folder)
    return 0 if ok else 1


def sets_folder() -> Path:
    """Return the folder with the sets, written once."""
    folder = bench_folder() / "selection"
    if not (folder / "sets.json").exists():
        run_child([peer_python(), str(HERE / "selection_sets.py"), str(folder)])
    return folder


def measure_set(folder: Path, name: str, task: str, seconds: float) -> tuple[dict[str, float], dict[str, Any], int]:
    """Return the test loss by kind, what each said of itself, and the most memory of our search's parent process."""
    losses, about, memory = {}, {}, 0
    for kind in ("search", "flaml", *DEFAULTS):
        answers = folder / f"{name}.{kind}.npy"
        done = (
            ask_flaml(folder, name, task, seconds, answers)
            if kind == "flaml"
            else ask_ours(folder, name, task, seconds, kind, answers)
        )
        about[kind] = json.loads(done.stdout.strip().splitlines()[-1])
        losses[kind] = test_loss(folder, name, task, answers)
        memory = max(memory, done.peak_memory_bytes if kind == "search" else 0)
    return losses, about, memory


def ask_flaml(folder: Path, name: str, task: str, seconds: float, answers: Path) -> Measured:
    """Let FLAML fit and answer."""
    script = str(HERE / "selection_peer.py")
    return run_child([peer_python(), script, str(folder), name, task, str(seconds), str(cores()), str(answers)])


def ask_ours(folder: Path, name: str, task: str, seconds: float, kind: str, answers: Path) -> Measured:
    """Let our search, or a default, fit and answer."""
    script = str(HERE / "selection_ours.py")
    environment = {"TANDEM_FIT_JOBS": str(cores())}
    return run_child([sys.executable, script, str(folder), name, task, str(seconds), kind, str(answers)], environment)


def test_loss(folder: Path, name: str, task: str, answers: Path) -> float:
    """Return the log loss, or the root mean squared error, on the test rows."""
    import numpy as np
    import pyarrow.parquet as pq
    from sklearn.metrics import log_loss, root_mean_squared_error

    truth = pq.read_table(folder / f"{name}.test.parquet")["target"].to_numpy()
    predicted = np.load(answers)
    if task == "regression":
        return float(root_mean_squared_error(truth, predicted))
    classes = sorted(set(pq.read_table(folder / f"{name}.train.parquet")["target"].to_pylist()))
    return float(log_loss(truth, predicted, labels=classes))


def report_levels(folder: Path) -> bool:
    """Search on 50,000 rows with a category of 10,000 levels, and print how much of its budget that took."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    level = random.integers(0, 10_000, 66_667)
    effect = random.normal(size=10_000)
    late = random.random(66_667) < 1 / (1 + np.exp(-effect[level]))
    table = pa.table({"level": [f"level {value}" for value in level], "x": random.normal(size=66_667), "target": late})
    pq.write_table(table.slice(0, 50_000), folder / "levels.train.parquet")
    pq.write_table(table.slice(50_000), folder / "levels.test.parquet")
    done = ask_ours(folder, "levels", "binary", LEVELS_SECONDS, "search", folder / "levels.npy")
    about = json.loads(done.stdout.strip().splitlines()[-1])
    loss = test_loss(folder, "levels", "binary", folder / "levels.npy")
    print(f"10,000 levels: {about['seconds']:.1f} s, test log loss {loss:.4f} (0.693 without the levels)")
    return report(
        "selection.ten_thousand_levels", about["seconds"] / LEVELS_SECONDS, "of a budget of 10 s", 1.1, "50,000 rows"
    )


def cores() -> int:
    """Return the cores that each contender may use."""
    return len(os.sched_getaffinity(0))


def peer_python() -> str:
    """Return the interpreter that has the peers: TANDEM_BENCH_PYTHON, which `make bench` sets."""
    python = os.environ.get("TANDEM_BENCH_PYTHON")
    if not python:
        sys.exit("selection needs the peers' interpreter: run `make bench ONLY=selection`, or set TANDEM_BENCH_PYTHON.")
    return python


if __name__ == "__main__":
    sys.exit(main())
