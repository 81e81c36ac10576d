"""Let Great Expectations judge a table, and read its verdicts: passed, failed, or broken."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipelines.data.quality.conditions import Condition
from pipelines.data.quality.engine import RUNTIME, FactsEngine
from pipelines.data.quality.findings import Finding, RowTest
from pipelines.data.quality.library import Expectation, Validator
from pipelines.data.quality.rows import Rows


def judge(rows: Rows, expectations: Sequence[Expectation]) -> list[Finding]:
    """Return what Great Expectations says of each expectation, in their order. It raises nothing for a broken one."""
    expectations = [_at_midnight(expectation, rows) for expectation in expectations]
    engine = FactsEngine(rows)
    engine.prepare(expectations)
    validator = Validator(execution_engine=engine)
    validator.metrics_calculator.show_progress_bars = False
    try:
        return [_find(validator, engine, expectation, number) for number, expectation in enumerate(expectations)]
    finally:
        engine.close()


def _at_midnight(expectation: Expectation, rows: Rows) -> Expectation:
    """Make a bound that is a date a time where the column holds times: Great Expectations cannot compare the two."""
    kind = rows.kinds.get(getattr(expectation, "column", ""))
    zone = {"timestamp": None, "timestamptz": datetime.UTC}
    bounds = {name: getattr(expectation, name, None) for name in ("min_value", "max_value")}
    times = {
        name: datetime.datetime.combine(bound, datetime.time.min, zone[kind])
        for name, bound in bounds.items()
        if kind in zone and isinstance(bound, datetime.date) and not isinstance(bound, datetime.datetime)
    }
    return expectation.copy(update=times) if times else expectation


def _find(validator: Validator, engine: FactsEngine, expectation: Expectation, number: int) -> Finding:
    with warnings.catch_warnings():
        # a hint from pandas to programmers, about a pattern of ours that is meant as it stands
        warnings.filterwarnings("ignore", "This pattern is interpreted as a regular expression", UserWarning)
        results = validator.graph_validate([expectation.configuration], RUNTIME)
    if len(results) != 1:
        return Finding("broken", reason=f"Great Expectations gave {len(results)} results for one expectation")
    crash = _crash(results[0].exception_info)
    if crash is not None:
        return Finding("broken", reason=crash)
    status: Literal["passed", "failed"] = "passed" if results[0].success else "failed"
    found = results[0].result
    if "element_count" not in found:
        return Finding(status, observed=found.get("observed_value", found.get("unexpected_count")))
    num_bad = int(found["unexpected_count"])
    num_judged = int(found["element_count"] - found.get("missing_count", 0))
    bad = engine.bad_rows(expectation)
    if bad is None:
        return Finding("broken", reason="Great Expectations counted bad rows and does not tell which")
    return Finding(status, None, num_bad, num_judged, rows=_row_test(engine, bad, number))


def _crash(info: Mapping[str, Any] | None) -> str | None:
    """Return the message of an exception that Great Expectations caught, or None when there was none."""
    if not info:
        return None
    caught = [info] if "raised_exception" in info else [each for each in info.values() if isinstance(each, Mapping)]
    messages = [str(each.get("exception_message")) for each in caught if each.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages)) if messages else None


def _row_test(engine: FactsEngine, bad: Condition | np.ndarray, number: int) -> RowTest:
    if isinstance(bad, np.ndarray):
        table = f"bad_rows_{number}"
        numbers = pa.table({"number": pa.array(bad, pa.int64())})
        engine.rows.connection.register("numbers", numbers)
        engine.rows.run(f"CREATE OR REPLACE TABLE {table} AS SELECT number FROM numbers")
        engine.rows.connection.unregister("numbers")
        return RowTest(
            f"{table}.number IS NOT NULL", f"LEFT JOIN {table} ON {table}.number = file_row_number + {{offset}}"
        )
    if not bad.duplicated:
        return RowTest(bad.bad)
    table = engine.duplicates_table(bad)
    same = " AND ".join(f"{table}.k{place} IS NOT DISTINCT FROM {sql}" for place, sql in enumerate(bad.duplicated))
    return RowTest(f"coalesce({table}.n IS NOT NULL AND {bad.domain}, false)", f"LEFT JOIN {table} ON {same}")
