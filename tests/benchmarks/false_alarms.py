"""How often drift that is none asks for a retraining in a year, and how soon a real one is seen.

    python tests/benchmarks/false_alarms.py [--years 200] [--small]

A year is 365 days of rows drawn with replacement from the flights of 2013 (20 columns), against a reference of 90 such
days: nothing drifts. Then three days in which one column is a quarter of its standard deviation higher. A request is a
day on which a rule alarms; ours: a column that drifted on that day and on one of the two before, whatever it weighs
(a spec asks for at least a tenth of the importance too, so this is the most that can be). `--small` is 3 years of 1,000
rows a day. On a few windows the rules are compared with the shipped code and with the real Evidently and NannyML.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from measure import ROOT, bench_folder, report, run_child
from run import prepare_peers

sys.path.append(str(ROOT))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from drift import write_rows
from false_alarms_rules import Column, Counts, Floats, evidently, nannyml, ours, q_values

from pipelines.spec.watching import Drift

DAYS, REFERENCE_DAYS, SHIFTED_DAYS = 365, 90, 3
SHIFT = 0.25
MOST_REQUESTS, LEAST_POWER = 1.0, 0.95
MOST_MISSING = 0.5  # of a column that matters
EVERY_DAYS = 30
SETTINGS = Drift()


class Flights:
    """The flights as places of their values in cells, and the same with each number a quarter deviation higher."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.columns: list[Column] = []
        self.shifts: dict[str, float] = {}
        places, shifted, start = [], [], 0
        for name in table.column_names:
            values = table[name].combine_chunks()
            missing = np.asarray(values.is_null())
            if pa.types.is_string(values.type):
                codes = np.asarray(values.dictionary_encode().indices.fill_null(-1)) + 1
                grid, both = None, (codes, codes)
                num_cells = int(codes.max()) + 1
            else:
                numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
                self.shifts[name] = SHIFT * float(np.nanstd(numbers))
                higher = numbers + self.shifts[name]
                grid = np.unique(np.concatenate([numbers[~missing], higher[~missing]]))
                both = tuple(np.where(missing, 0, np.searchsorted(grid, one) + 1) for one in (numbers, higher))
                num_cells = grid.size + 1
            self.columns.append(Column(name, slice(start, start + num_cells), grid))
            places.append(both[0] + start)
            shifted.append(both[1] + start)
            start += num_cells
        self.num_cells = start
        self.places = np.column_stack(places).astype(np.int32)
        self.shifted = np.column_stack(shifted).astype(np.int32)

    def draw(self, generator: np.random.Generator, num_rows: int) -> np.ndarray:
        """Return the rows of one day."""
        return generator.integers(0, len(self.places), num_rows)

    def count(self, places: np.ndarray, rows: np.ndarray) -> Counts:
        """Return how many of `rows` are in each cell."""
        return np.bincount(places[rows].ravel(), minlength=self.num_cells)


class Year:
    """One simulated year: what each rule says of each day and column."""

    def __init__(self, flights: Flights, num_rows: int, seed: int) -> None:
        generator = np.random.default_rng([seed, num_rows])
        self.days = [flights.draw(generator, num_rows) for _ in range(REFERENCE_DAYS + DAYS + SHIFTED_DAYS)]
        counts = np.stack([flights.count(flights.places, rows) for rows in self.days])
        late = np.stack([flights.count(flights.shifted, rows) for rows in self.days[-SHIFTED_DAYS:]])
        self.reference = counts[:REFERENCE_DAYS]
        self.usual = Flags(flights.columns, self.reference, counts[REFERENCE_DAYS:-SHIFTED_DAYS])
        self.before = Flags(flights.columns, self.reference, counts[-SHIFTED_DAYS:])
        self.after = Flags(flights.columns, self.reference, late)


class Flags:
    """What the rules say of some windows; every array is of shape (windows, columns)."""

    def __init__(self, columns: list[Column], reference: Counts, windows: Counts) -> None:
        found: dict[str, list[Floats]] = defaultdict(list)
        for column in columns:
            sides = reference[:, column.cells], windows[:, column.cells]
            distance, p_value = ours(column, *sides)
            score, bound = nannyml(column, *sides)
            for name, value in (("distance", distance), ("p_value", p_value), ("nannyml_score", score)):
                found[name].append(value)
            found["evidently_score"].append(evidently(column, *sides))
            found["nannyml_bound"].append(np.full(len(score), bound))
        self.values = {name: np.column_stack(parts) for name, parts in found.items()}

    def with_column(self, place: int, other: Flags) -> Flags:
        """Return the same with one column from `other`."""
        mixed = object.__new__(Flags)
        mixed.values = {name: value.copy() for name, value in self.values.items()}
        for name, value in mixed.values.items():
            value[:, place] = other.values[name][:, place]
        return mixed

    def drifted(self) -> np.ndarray:
        """Ours, in one window."""
        values = self.values
        far = values["distance"] >= SETTINGS.minimum_distance
        return far & (q_values(values["p_value"]) <= SETTINGS.false_discovery_rate)

    def persistent(self) -> np.ndarray:
        """Ours, K of N."""
        drifted, rule = self.drifted(), SETTINGS.persistence
        padded = np.concatenate([np.zeros((rule.windows - 1, drifted.shape[1]), bool), drifted])
        seen = sum(padded[back : back + len(drifted)].astype(int) for back in range(rule.windows))
        return drifted & (seen >= rule.needed)


RULES: dict[str, Callable[[Flags], np.ndarray]] = {
    "Tandem: drift, 2 of 3 windows": lambda flags: flags.persistent().any(axis=1),
    "Tandem, without K of N": lambda flags: flags.drifted().any(axis=1),
    "KS or chi-square p < .05, any column": lambda flags: (flags.values["p_value"] < 0.05).any(axis=1),
    "Evidently's default, any column": lambda flags: (flags.values["evidently_score"] >= 0.1).any(axis=1),
    "Evidently's default, half of the columns": lambda flags: (flags.values["evidently_score"] >= 0.1).mean(1) >= 0.5,
    "NannyML's default, any column": lambda flags: (flags.values["nannyml_score"] > flags.values["nannyml_bound"]).any(
        axis=1
    ),
}


def main() -> int:
    """Print a table and four figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--small", action="store_true", help="3 years of 1,000 rows a day")
    options = parser.parse_args()
    years = 3 if options.small else options.years
    flights = read()
    validate(flights, 1_000)
    ok = True
    for num_rows in (1_000,) if options.small else (1_000, 10_000):
        started = time.perf_counter()
        requests, power = simulate(flights, num_rows, years)
        print(f"{years} years of {num_rows:,} rows a day, {time.perf_counter() - started:.0f} s: requests a year, and")
        print(f"share of a {SHIFT} sd shift in one column that is seen within {SHIFTED_DAYS} days (least, mean)")
        for rule in requests:
            seen = list(power[rule].values())
            print(f"  {rule:45}{np.mean(requests[rule]):8.2f}{min(seen):8.3f}{np.mean(seen):8.3f}", flush=True)
        print(f"  {f'an alarm every {EVERY_DAYS} days':45}{DAYS / EVERY_DAYS:8.2f}{SHIFTED_DAYS / EVERY_DAYS:8.3f}")
        rule = next(iter(RULES))
        print("  seen by column: " + ", ".join(f"{name} {seen:.3f}" for name, seen in power[rule].items()))
        what = f"{years} years of 365 windows of {num_rows:,} rows without drift, 20 columns"
        ok &= report(f"false_alarms.{num_rows}", float(np.mean(requests[rule])), "requests a year", MOST_REQUESTS, what)
        least = min(power[rule].values())
        what = f"a {SHIFT} sd shift in one column, {num_rows:,} rows, 3 windows; the column that is seen least"
        ok &= report(f"false_alarms.power_{num_rows}", least, "share seen", LEAST_POWER, what, higher_is_better=True)
    return 0 if ok else 1


def simulate(flights: Flights, num_rows: int, years: int) -> tuple[dict[str, list[int]], dict[str, dict[str, float]]]:
    """Return for each rule the requests of each year, and the share of years in which each column's shift is seen."""
    missing = {name: flights.table[name].null_count / flights.table.num_rows for name in flights.shifts}
    requests: dict[str, list[int]] = defaultdict(list)
    seen: dict[str, dict[str, float]] = {rule: defaultdict(float) for rule in RULES}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        for usual, before, after in pool.map(simulate_year, [num_rows] * years, range(years)):
            for rule, says in RULES.items():
                requests[rule].append(int(says(usual).sum()))
            for place, column in enumerate(flights.columns):
                if missing.get(column.name, 1.0) <= MOST_MISSING:
                    mixed = before.with_column(place, after)
                    for rule, says in RULES.items():
                        seen[rule][column.name] += float(says(mixed).any())
    return requests, {rule: {name: count / years for name, count in found.items()} for rule, found in seen.items()}


def simulate_year(num_rows: int, number: int) -> tuple[Flags, Flags, Flags]:
    """Return what is said of a year's days, of three more, and of these three with each number shifted."""
    year = Year(read(), num_rows, number)
    return year.usual, year.before, year.after


@functools.cache
def read() -> Flights:
    """Return the flights; each process reads them once."""
    return Flights(pq.read_table(write_rows(bench_folder() / "drift", 1, small=False)))


def validate(flights: Flights, num_rows: int) -> None:
    """Compare the rules with the shipped code and with the real peers, where these can be installed."""
    folder = bench_folder() / "false_alarms"
    folder.mkdir(parents=True, exist_ok=True)
    year = Year(flights, num_rows, 0)
    tables = [flights.table.take(rows) for rows in year.days]
    windows = tables[-SHIFTED_DAYS - 2 : -SHIFTED_DAYS]
    name, shift = "temperature", flights.shifts["temperature"]
    place = flights.table.column_names.index(name)
    for table in tables[-SHIFTED_DAYS:]:
        windows.append(table.set_column(place, name, pa.array(table[name].to_numpy() + shift, from_pandas=True)))
    usual = {key: value[-2:] for key, value in year.usual.values.items()}
    mixed = year.before.with_column(place, year.after)
    values = {key: np.concatenate([usual[key], mixed.values[key]]) for key in usual}
    _validate_ours(tables[:REFERENCE_DAYS], windows, values)
    paths = [folder / f"window_{number}.parquet" for number in range(len(windows))]
    reference = folder / "reference.parquet"
    for path, table in zip([reference, *paths], [pa.concat_tables(tables[:REFERENCE_DAYS]), *windows], strict=True):
        pq.write_table(table, path)
    for peer in ("evidently", "nannyml"):
        try:
            python = prepare_peers(f"peers_{peer}")
        except subprocess.CalledProcessError:
            print(f"{peer} cannot be installed here: its rule was not compared with it.")
            continue
        script = str(Path(__file__).with_name("false_alarms_peer.py"))
        done = run_child([python, script, peer, str(reference), str(num_rows), *map(str, paths)])
        _validate_peer(peer, json.loads(done.stdout.splitlines()[-1]), flights.columns, values)


def _validate_ours(reference: list[pa.Table], windows: list[pa.Table], values: dict[str, Floats]) -> None:
    from pipelines.data.profiles import merge_profiles
    from pipelines.data.profiling import profile_table
    from pipelines.monitoring.column_drift import column_drift

    whole = merge_profiles([profile_table(table) for table in reference])
    most = 0.0
    for number, window in enumerate(windows):
        found = column_drift(whole, profile_table(window), SETTINGS)
        rates = q_values(values["p_value"][number : number + 1])[0]
        told = (values["distance"][number] >= SETTINGS.minimum_distance) & (rates <= SETTINGS.false_discovery_rate)
        most = max(most, *np.abs([one.distance for one in found] - values["distance"][number]))
        assert [one.drifted for one in found] == told.tolist(), "the benchmark's rule is not the shipped one"
    print(f"ours on {len(windows)} windows: the shipped code says the same, distances differ by {most:.4f} at most")


def _validate_peer(peer: str, told: list[dict[str, Any]], columns: list[Column], values: dict[str, Floats]) -> None:
    real = np.array([[np.atleast_1d(window[column.name]) for column in columns] for window in told])
    scores = np.stack([values[name] for name in (f"{peer}_score", f"{peer}_bound") if name in values], axis=-1)
    most = np.abs(real - scores).max()
    print(f"{peer} on {len(told)} windows: its own scores differ by {most:.1e} at most", flush=True)
    assert most < 1e-3, f"the benchmark's rule is not {peer}'s"


if __name__ == "__main__":
    sys.exit(main())
