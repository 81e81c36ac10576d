"""How surely other questions are seen by their words, and how often the same ones raise an alarm, on real questions.

The questions are those about Python's documentation. Without drift, window and reference are drawn from all of them at
random, without a question in both. With drift, the window asks about some modules and the reference about all others.
Beside the words stands what their lengths alone would tell, by the same bounds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from measure import report, run_child

NUM_REFERENCE_ROWS = 3_000
WINDOWS = (50, 200, 1_000)  # rows
ROUNDS = 100


def child() -> None:
    """Draw and compare; the last line is JSON: for each size of a window, how often each measure drifted."""
    import numpy as np
    import pyarrow as pa

    from pipelines.data.profiles import Profile
    from pipelines.data.profiling import profile_table
    from pipelines.data.sources.python_docs import read_python_docs
    from pipelines.monitoring.column_drift import column_drift
    from pipelines.records import Window
    from pipelines.spec.watching import Drift

    table = read_python_docs(Window()).read_all()
    questions = np.array(table["question"].to_pylist(), object)
    modules = np.array([name.partition(".")[0] for name in table["document"].to_pylist()], object)
    names, sizes = np.unique(modules, return_counts=True)
    chance = np.random.default_rng(0)

    def profiled(texts: Sequence[str]) -> Profile:
        return profile_table(pa.table({"question": pa.array(list(texts), pa.string())}), ["question"])

    def drawn(num_rows: int, drifts: bool) -> tuple[Profile, Profile]:
        if not drifts:
            order = chance.permutation(questions)
            return profiled(order[:NUM_REFERENCE_ROWS]), profiled(order[NUM_REFERENCE_ROWS:][:num_rows])
        order = chance.permutation(names.size)
        held = names[order[: np.searchsorted(np.cumsum(sizes[order]), num_rows) + 1]]
        inside = np.isin(modules, held)
        reference = chance.permutation(questions[~inside])[:NUM_REFERENCE_ROWS]
        return profiled(reference), profiled(chance.permutation(questions[inside])[:num_rows])

    def rounds(num_rows: int, drifts: bool) -> Iterator[dict[str, bool]]:
        for _ in range(ROUNDS):
            yield {one.measure: one.drifted for one in column_drift(*drawn(num_rows, drifts), Drift())}

    found = {
        str(num_rows): {
            kind: {measure: sum(one[measure] for one in told) for measure in ("words", "ks")}
            for kind, told in (("same", list(rounds(num_rows, False))), ("other", list(rounds(num_rows, True))))
        }
        for num_rows in WINDOWS
    }
    print(json.dumps(found))


def main() -> int:
    """Print a table and the figures."""
    run = run_child([sys.executable, __file__, "child"], {"OMP_NUM_THREADS": "1"})
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(run.stdout.strip().splitlines()[-1])
    print(f"{ROUNDS} windows each; questions on the same modules, on others; {run.seconds:.0f} s in all")
    for num_rows, told in found.items():
        same, other = told["same"], told["other"]
        print(
            f"  {num_rows:>5} rows: words {same['words']:3} {other['words']:3}, lengths {same['ks']:3} {other['ks']:3}"
        )
    windows = len(found) * ROUNDS
    alarms = sum(told["same"]["words"] for told in found.values()) / windows
    seen = [told["other"] for num_rows, told in found.items() if int(num_rows) >= WINDOWS[1]]
    words, lengths = (sum(one[measure] for one in seen) / len(seen) / ROUNDS for measure in ("words", "ks"))
    kept = [
        report("writing_false_alarms", alarms, "share of windows", 0.01, "no drift at all", run.peak_memory_bytes),
        report(
            "writing_seen",
            words,
            f"share of windows of {WINDOWS[1]} rows or more on other modules",
            0.95,
            f"the lengths alone: {lengths:.2f}",
            run.peak_memory_bytes,
            higher_is_better=True,
        ),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        sys.exit(main())
