"""How far the estimate without labels is from the truth, on the months after a model was promoted.

The search of Tandem learns from January to the middle of March and is held to the last two weeks of March, as the spec
of the flights has it. Then it answers April to December, month by month, and each month is estimated before its labels
come: from the holdout and the months before, whose labels have come. Beside it stand what one would say without an
estimate: the last known value (the month before), and the holdout's own.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from measure import report, run_child

TRIALS = 4  # a few: the model that is watched need not be the best one
FIGURES = (("roc_auc", "AUC"), ("brier", "Brier score"))


def child() -> None:
    """Search, answer and estimate; the last line is JSON: rows by metric and month."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipelines.classic.estimators.prediction import predict
    from pipelines.classic.evaluation.arrays import Array
    from pipelines.classic.search.board import TrialBoard
    from pipelines.classic.search.planning import plan_search
    from pipelines.classic.search.rows import read_rows, search_rows
    from pipelines.classic.search.searching import run_search
    from pipelines.classic.search.training import train_ensemble
    from pipelines.data.sources.flights import read_flights
    from pipelines.monitoring.answers import Answered
    from pipelines.monitoring.estimates import estimate_window
    from pipelines.monitoring.known import known_from
    from pipelines.monitoring.measured import measure_window
    from pipelines.records import Window
    from pipelines.spec import ClassicSpec, load_model
    from pipelines.store.memory import MemoryStore

    spec = load_model("flight_delay")
    assert isinstance(spec, ClassicSpec)
    budget = type(spec.training.budget)(trials=TRIALS)
    training = spec.training.model_copy(update={"budget": budget})

    year = read_flights(Window()).read_all()
    year = year.filter(pc.is_valid(year.column(training.target)))
    days = pc.strftime(year.column(str(spec.source.time_column)), format="%Y-%m-%d")

    def flights(start: str, end: str) -> pa.Table:
        return year.filter(pc.and_(pc.greater_equal(days, start), pc.less(days, end)))

    rows = read_rows(flights("2013-01-01", "2013-03-18"), training, spec.source.time_column)
    detail = plan_search(rows, training, spec.source.time_column, None, TRIALS)
    chosen = search_rows(rows, detail.num_search_rows, detail.seed)
    board = TrialBoard(MemoryStore(), "flight_delay/searches/1")
    run_search(board, detail, chosen, lambda result: None)
    origin = {"model": "flight_delay", "snapshot_id": "benchmark"}
    model, schedule = train_ensemble(detail, board.results, rows, chosen, board.predictions, None, origin)
    print(f"{schedule.algorithm}, cv {schedule.cv_score:.4f}")

    def answered(start: str, end: str) -> Answered:
        table = flights(start, end)
        truth: Array = np.asarray(table.column(training.target).to_numpy(), dtype=np.int64)
        return Answered(predict(model, table, training), truth, ("False", "True"), table.num_rows, 0, 0)

    def values(figures: Any) -> dict[str, Any]:
        return {figure.metric: (figure.value, figure.low, figure.high) for figure in figures}

    settings = spec.monitoring.performance
    holdout = answered("2013-03-18", "2013-04-01")
    reference = values(measure_window("binary", holdout, [], settings, 100))
    known, months = [known_from(holdout)], []
    for month in range(4, 13):
        new = answered(f"2013-{month:02}-01", f"2013-{month + 1:02}-01" if month < 12 else "2014-01-01")
        estimate = values(estimate_window("binary", new, known, [], settings))
        alone = values(estimate_window("binary", new, known[:1], [], settings))
        truth = values(measure_window("binary", new, [], settings, 100))
        months.append({"month": month, "estimate": estimate, "alone": alone, "truth": truth})
        known.append(known_from(new))
    print(json.dumps({"reference": reference, "months": months}))


def main() -> int:
    """Print a table for each metric, and the figures."""
    run = run_child([sys.executable, __file__, "child"], {"OMP_NUM_THREADS": "1"})
    algorithm, line = run.stdout.strip().splitlines()[-2:]
    found = json.loads(line)
    print(f"{algorithm}, {run.seconds:.0f} s in all")
    kept = [_figure(found, metric, name, run.peak_memory_bytes) for metric, name in FIGURES]
    return 0 if all(kept) else 1


def _figure(found: dict[str, Any], metric: str, name: str, memory: int) -> bool:
    reference = last = found["reference"][metric][0]
    errors: dict[str, list[float]] = {"estimate": [], "holdout only": [], "last known": [], "reference": []}
    inside = 0
    print(
        f"{name}: month, truth, estimate [interval], from the holdout only, last known value; reference {reference:.4f}"
    )
    for month in found["months"]:
        truth, (value, low, high), alone = (
            month["truth"][metric][0],
            month["estimate"][metric],
            month["alone"][metric][0],
        )
        guesses = {"estimate": value, "holdout only": alone, "last known": last, "reference": reference}
        for guess, guessed in guesses.items():
            errors[guess].append(abs(guessed - truth))
        inside += low <= truth <= high
        print(f"  {month['month']:2}  {truth:.4f}  {value:.4f} [{low:.4f}, {high:.4f}]  {alone:.4f}  {last:.4f}")
        last = truth
    mean = {guess: sum(all_of) / len(all_of) for guess, all_of in errors.items()}
    print("  mean absolute error: " + ", ".join(f"{guess} {error:.4f}" for guess, error in mean.items()))
    print(f"  truth in the interval in {inside} of {len(found['months'])} months")
    return report(
        f"estimate_{metric}",
        mean["estimate"],
        f"mean absolute error of {name}",
        round(mean["last known"], 4),
        "the last known value",
        memory,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        child()
    else:
        sys.exit(main())
