"""Judge 10.1 million rows by 22 expectations and tag every bad row, against DuckDB doing the same by hand.

The floor is DuckDB alone, with all the memory it wants: one query for the facts behind the 22 verdicts, and for each
partition the same clean and quarantine files, with the same lists of reasons. It knows no Great Expectations, hashes
nothing and has no report. Our time is that of the whole step `validate`, from its import of Great Expectations on.
Great Expectations on pandas stands beside it; it only judges and sets nothing aside.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from measure import ROWS_OF_FLIGHTS, Measured, bench_folder, median, repeated_flights, report, run_child

NUM_ROWS = 30 * ROWS_OF_FLIGHTS
TURNS = 3
BOUND = 1.5
MEMORY_BOUND = 1_500_000_000
PANDAS_NEEDS = 7_000_000_000  # bytes of free memory before the full size is tried on pandas

CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "UA", "US", "VX", "WN", "YV"]  # OO is left out
COLUMNS = [
    *(
        "id",
        "year",
        "month",
        "day",
        "dep_time",
        "sched_dep_time",
        "dep_delay",
        "arr_time",
        "sched_arr_time",
        "arr_delay",
    ),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
]
KEY = ["time_hour", "carrier", "flight", "origin", "id"]

# Type without 'expect_', kwargs, and for a check on rows what a bad row is in SQL.
EXPECTATIONS: list[tuple[str, dict[str, Any], str | None]] = [
    ("table_row_count_to_be_between", {"min_value": 1000}, None),
    ("table_columns_to_match_set", {"column_set": COLUMNS}, None),
    ("column_to_exist", {"column": "id"}, None),
    ("column_values_to_not_be_null", {"column": "dep_time", "mostly": 0.95}, "dep_time IS NULL"),
    ("column_values_to_not_be_null", {"column": "tailnum", "mostly": 0.99}, "tailnum IS NULL"),
    ("column_values_to_not_be_null", {"column": "carrier"}, "carrier IS NULL"),
    ("column_values_to_be_between", {"column": "distance", "min_value": 50, "mostly": 0.99}, "distance < 50"),
    (
        "column_values_to_be_between",
        {"column": "air_time", "min_value": 25, "max_value": 650, "mostly": 0.9},
        "air_time < 25 OR air_time > 650",
    ),
    (
        "column_values_to_be_between",
        {"column": "arr_delay", "min_value": -75, "max_value": 600, "mostly": 0.99},
        "arr_delay < -75 OR arr_delay > 600",
    ),
    ("column_values_to_be_between", {"column": "month", "min_value": 1, "max_value": 12}, "month < 1 OR month > 12"),
    (
        "column_values_to_be_between",
        {"column": "hour", "min_value": 1, "max_value": 24, "strict_min": True, "strict_max": True, "mostly": 0.9},
        "hour <= 1 OR hour >= 24",
    ),
    (
        "column_values_to_be_in_set",
        {"column": "origin", "value_set": ["EWR", "JFK", "LGA"]},
        "origin NOT IN ('EWR', 'JFK', 'LGA')",
    ),
    (
        "column_values_to_be_in_set",
        {"column": "carrier", "value_set": CARRIERS, "mostly": 0.99},
        f"carrier NOT IN ({', '.join(map(repr, CARRIERS))})",
    ),
    ("column_values_to_not_be_in_set", {"column": "dest", "value_set": ["EWR", "JFK"]}, "dest IN ('EWR', 'JFK')"),
    (
        "column_values_to_match_regex",
        {"column": "tailnum", "regex": "^N[0-9]{1,5}[A-Z]{0,2}$", "mostly": 0.9},
        "NOT regexp_matches(tailnum, '^N[0-9]{1,5}[A-Z]{0,2}$')",
    ),
    ("column_value_lengths_to_equal", {"column": "carrier", "value": 2}, "length(carrier) <> 2"),
    ("column_values_to_be_unique", {"column": "id"}, "id IN (FROM duplicate_ids)"),
    (
        "compound_columns_to_be_unique",
        {"column_list": KEY},
        f"({', '.join(KEY)}) IN (SELECT ({', '.join(KEY)}) FROM duplicate_keys)",
    ),
    ("column_mean_to_be_between", {"column": "arr_delay", "min_value": 0, "max_value": 20}, None),
    ("column_stdev_to_be_between", {"column": "dep_delay", "min_value": 10, "max_value": 90}, None),
    ("column_median_to_be_between", {"column": "distance", "min_value": 500, "max_value": 1500}, None),
    ("column_unique_value_count_to_be_between", {"column": "tailnum", "min_value": 100}, None),
]


def main() -> None:
    """Measure both in turns, then pandas once; the figure is the median of the turns' ratios."""
    folder = bench_folder()
    store = prepare(folder)
    print(f"{NUM_ROWS} rows x {len(COLUMNS)} columns in 12 partitions, {len(EXPECTATIONS)} expectations")
    floors, ours = [], []
    for turn in range(TURNS):
        floors.append(child("floor", store, folder))
        ours.append(child("validate", store, folder))
        print(f"turn {turn + 1}: DuckDB by hand {words(floors[-1])}; validate {words(ours[-1])}")
        print(f"         {ours[-1].stdout.strip()}")
    assert json.loads(floors[-1].stdout)["bad"] == json.loads(ours[-1].stdout)["bad"], "both must find the same rows"
    parts = child("parts", store, folder)
    print(f"DuckDB by hand, with the one distinct count in a query of its own: {words(parts)}")
    small = child("pandas", store, folder, ROWS_OF_FLIGHTS)
    print(f"Great Expectations on pandas, {ROWS_OF_FLIGHTS} rows, judged only: {words(small)}")
    import psutil

    if psutil.virtual_memory().available > PANDAS_NEEDS:
        large = child("pandas", store, folder, NUM_ROWS)
        print(f"Great Expectations on pandas, {NUM_ROWS} rows, judged only: {words(large)}")
    ratios = [one.seconds / other.seconds for one, other in zip(ours, floors, strict=True)]
    floor = median([measured.seconds for measured in floors])
    memory = int(median([measured.peak_memory_bytes for measured in ours]))
    floor_memory = median([measured.peak_memory_bytes for measured in floors])
    against = f"DuckDB alone, {floor:.2f} s; peak memory {floor_memory / 1e6:.0f} MB"
    report("quality_10m", median(ratios), "x", BOUND, against, memory)
    report("quality_10m_memory", memory, "bytes", MEMORY_BOUND, "bound of the design", memory)


def words(measured: Measured) -> str:
    return f"{measured.seconds:.2f} s, {measured.peak_memory_bytes / 1e6:.0f} MB"


def prepare(folder: Path) -> Path:
    """Return a store with the rows as 12 partitions, made by ingest, once per folder."""
    store = folder / "quality_store"
    if (store / "ingested.json").exists():
        return store
    shutil.rmtree(store, ignore_errors=True)
    source = repeated_flights(NUM_ROWS, folder, "parquet")
    run_child([sys.executable, __file__, "prepare", str(source), str(store)])
    return store


def child(what: str, store: Path, folder: Path, num_rows: int = NUM_ROWS) -> Measured:
    """Run one of the contenders in a process of its own, on a store without results."""
    for name in ("clean", "quarantine", "reports"):
        shutil.rmtree(store / "flights" / name, ignore_errors=True)
    target = folder / "quality_floor"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    measured = run_child([sys.executable, __file__, what, str(store), str(target), str(num_rows)])
    shutil.rmtree(target)
    return Measured(json.loads(measured.stdout)["seconds"], measured.peak_memory_bytes, measured.stdout)


def prepare_store(source: Path, store: Path) -> None:
    import pyarrow.parquet as pq

    from pipelines.data.partitions import write_partitions
    from pipelines.records import Window
    from pipelines.store.files import FileStore

    reader = pq.ParquetFile(source)
    import pyarrow as pa

    batches = pa.RecordBatchReader.from_batches(reader.schema_arrow, reader.iter_batches())
    ingested = write_partitions(
        FileStore(store), "flights", batches, source="", time_column="time_hour", by="month", window=Window()
    )
    (store / "ingested.json").write_bytes(ingested.to_bytes())


def quality() -> Any:
    from pipelines.spec.quality import ExpectationSpec, Quality

    specs = tuple(ExpectationSpec(type=f"expect_{kind}", kwargs=kwargs) for kind, kwargs, _ in EXPECTATIONS)
    return Quality(expectations=specs, max_quarantined_share=0.2)


def validate(store: Path) -> dict[str, Any]:
    """Run the step, and tell how many rows went to quarantine."""
    from pipelines.records import Ingested
    from pipelines.spec import ClassicSpec, Environment
    from pipelines.steps.context import Context
    from pipelines.store.files import FileStore

    spec = ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "flights",
            "description": "A benchmark.",
            "source": {
                "type": "files",
                "paths": ["x"],
                "format": "csv",
                "time_column": "time_hour",
                "key_columns": ["id"],
            },
            "holdout": {"by": "time", "last_days": 14},
            "training": {"task": "binary", "target": "arr_delay", "features": ["hour"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.5}]},
        }
    ).model_copy(update={"quality": quality()})
    fields = {"name": "bench", "home": store, "store": {"uri": f"file://{store}"}}
    environment = Environment.model_validate(
        {**fields, "mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"}}
    )
    ingested = Ingested.from_dict(json.loads((store / "ingested.json").read_text()))
    started = time.perf_counter()
    import pipelines.data.quality.judge  # noqa: F401 - Great Expectations
    from pipelines.steps.validate import validate as step

    imported = time.perf_counter()
    validated = step(Context(spec, environment, FileStore(store)), ingested)
    ended = time.perf_counter()
    assert len(validated.checks) == len(EXPECTATIONS)
    return {"seconds": ended - started, "import_seconds": imported - started, "bad": validated.num_rows_bad}


def floor(store: Path, target: Path, in_parts: bool) -> dict[str, Any]:
    """Do by hand in DuckDB what the step does; `in_parts` tells the distinct values apart from the other facts."""
    started = time.perf_counter()
    import duckdb

    files = [store / each["key"] for each in json.loads((store / "ingested.json").read_text())["partitions"]]
    names = [f"{kind.removeprefix('column_')}({kwargs.get('column', '')})" for kind, kwargs, bad in EXPECTATIONS if bad]
    bad = [f"coalesce({sql}, false)" for _, _, sql in EXPECTATIONS if sql]
    rows = f"read_parquet({[str(file) for file in files]})"
    settings = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 131072)"
    aggregates = [*(f"count(*) FILTER ({sql})" for sql in bad), "avg(arr_delay)", "stddev_samp(dep_delay)"]
    aggregates += ["median(distance)", "count(*)"]
    distinct = "count(DISTINCT tailnum)"
    facts = [f"SELECT {', '.join([*aggregates, distinct])} FROM {rows}"]
    if in_parts:
        facts = [f"SELECT {', '.join(aggregates)} FROM {rows}", f"SELECT {distinct} FROM {rows}"]
    num_bad = 0
    with duckdb.connect(config={"temp_directory": str(target / "spill")}) as connection:
        for statement in (
            "SET enable_progress_bar = false",
            f"CREATE TABLE duplicate_ids AS SELECT id FROM {rows} GROUP BY id HAVING count(*) > 1",
            f"CREATE TABLE duplicate_keys AS SELECT {', '.join(KEY)} FROM {rows} GROUP BY ALL HAVING count(*) > 1",
            *facts,
        ):
            connection.execute(statement).fetchall()
        for number, file in enumerate(files):
            any_bad = " OR ".join(bad)
            reasons = ", ".join(f"CASE WHEN {sql} THEN '{name}' END" for sql, name in zip(bad, names, strict=True))
            tagged = f"SELECT *, list_filter([{reasons}], lambda reason: reason IS NOT NULL) AS reasons"
            clean = (
                f"COPY (SELECT * FROM '{file}' WHERE NOT ({any_bad})) TO '{target}/clean_{number}.parquet' {settings}"
            )
            aside = f"COPY ({tagged} FROM '{file}' WHERE {any_bad}) TO '{target}/bad_{number}.parquet' {settings}"
            connection.execute(clean).fetchall()
            num_bad += connection.execute(aside).fetchall()[0][0]
    return {"seconds": time.perf_counter() - started, "bad": num_bad}


def pandas(store: Path, num_rows: int) -> dict[str, Any]:
    """Let Great Expectations judge a frame; loading it is part of the time, as reading is of the others'."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipelines.data.quality.engine import RUNTIME
    from pipelines.data.quality.library import PandasExecutionEngine, Validator
    from pipelines.data.quality.suite import build_suite

    files = [store / each["key"] for each in json.loads((store / "ingested.json").read_text())["partitions"]]
    started = time.perf_counter()
    tables: list[pa.Table] = []
    while sum(table.num_rows for table in tables) < num_rows:
        tables.append(pq.read_table(files[len(tables)]))
    frame = pa.concat_tables(tables).slice(0, num_rows).to_pandas()
    del tables
    engine = PandasExecutionEngine()
    engine.load_batch_data("rows", frame)
    validator = Validator(execution_engine=engine)
    validator.metrics_calculator.show_progress_bars = False
    for expectation in build_suite(quality(), "quality.py"):
        validator.graph_validate([expectation.configuration], RUNTIME)
    return {"seconds": time.perf_counter() - started}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        what, store = sys.argv[1], Path(sys.argv[2])
        if what == "prepare":
            prepare_store(store, Path(sys.argv[3]))
        elif what == "validate":
            print(json.dumps(validate(store)))
        elif what in {"floor", "parts"}:
            print(json.dumps(floor(store, Path(sys.argv[3]), what == "parts")))
        else:
            print(json.dumps(pandas(store, int(sys.argv[4]))))
