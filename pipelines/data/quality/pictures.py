"""Draw each column small: a histogram of its numbers or times, or its most frequent values.

The pictures are for the eye, so they come from a sample of evenly spread row groups; missing values are counted in all
rows, from Parquet's own statistics.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.quality.rows import NUMERIC, Kind, Rows
from pipelines.data.quality.wording import value_words

SAMPLE_ROWS = 20_000
_SAMPLED_GROUPS = 6
_BINS = 24
_TOP_VALUES = 5


@dataclass(frozen=True)
class Bar:
    """One bar: what it stands for, its rows in the sample, and its height from 0 to 1."""

    label: str
    num_rows: int
    height: float


@dataclass(frozen=True)
class Picture:
    """One column. `low` and `high` are the ends of a histogram; `missing_share` is of all rows, from 0 to 1."""

    column: str
    type: str
    missing_share: float
    shape: Literal["histogram", "values", "empty"]
    bars: tuple[Bar, ...]
    low: str = ""
    high: str = ""
    note: str = ""


def sample(rows: Rows) -> pa.Table:
    """Return up to `SAMPLE_ROWS` rows, the same for the same files: every k-th of evenly spread row groups."""
    groups = [
        (path, group)
        for path in rows.paths
        for group, size in _group_sizes(path)
        if size
    ]  # fmt: skip
    step = max(1, -(-len(groups) // _SAMPLED_GROUPS))
    chosen = groups[::step]
    tables = []
    for path, group in chosen:
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group).cast(rows.schema)
        stride = max(1, -(-table.num_rows * len(chosen) // SAMPLE_ROWS))
        tables.append(table.take(pa.array(np.arange(0, table.num_rows, stride))))
    return pa.concat_tables(tables) if tables else rows.schema.empty_table()


def draw(rows: Rows, sampled: pa.Table) -> list[Picture]:
    """Return a picture of each column, in the table's order."""
    missing = _missing(rows)
    return [
        _draw(name, str(rows.schema.field(name).type), rows.kinds[name], missing.get(name), sampled[name])
        for name in rows.schema.names
    ]


def _draw(name: str, type_: str, kind: Kind, missing: float | None, values: pa.ChunkedArray) -> Picture:
    values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    present = values.drop_null()
    share = (1 - len(present) / len(values) if len(values) else 0.0) if missing is None else missing
    if kind == "other" or not len(present):
        note = "every value is missing" if len(values) and kind != "other" else ""
        return Picture(name, type_, share, "empty", (), note=note)
    if kind in NUMERIC or kind in {"timestamp", "timestamptz", "date"}:
        counted = pc.count_distinct(present).as_py()
        if counted > 2 * _TOP_VALUES:
            return _histogram(name, type_, share, kind, present)
    return _values(name, type_, share, present)


def _values(name: str, type_: str, share: float, present: pa.Array) -> Picture:
    counted = Counter({each["values"].as_py(): each["counts"].as_py() for each in pc.value_counts(present)})
    top = sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))[:_TOP_VALUES]
    bars = tuple(Bar(value_words(value) or "(empty text)", count, count / len(present)) for value, count in top)
    others = len(counted) - len(top)
    return Picture(name, type_, share, "values", bars, note=f"and {others:,} other values" if others > 0 else "")


def _histogram(name: str, type_: str, share: float, kind: Kind, present: pa.Array) -> Picture:
    if kind == "date":
        present = present.cast(pa.timestamp("us"))
    is_time = pa.types.is_timestamp(present.type)
    numbers = (present.cast(pa.timestamp("us")).cast(pa.int64()) if is_time else present.cast(pa.float64())).to_numpy()
    finite = numbers[np.isfinite(numbers)]
    lost = len(numbers) - len(finite)
    if not len(finite):
        return Picture(name, type_, share, "empty", (), note="no finite value")
    counts, edges = np.histogram(finite, bins=_BINS)
    words = _time_words if is_time else value_words
    tallest = max(int(counts.max()), 1)
    bars = tuple(
        Bar(f"{words(low)} to {words(high)}", int(count), float(count / tallest))
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    )
    note = f"{lost:,} values of the sample are infinite or not a number" if lost else ""
    return Picture(name, type_, share, "histogram", bars, words(edges[0]), words(edges[-1]), note)


def _time_words(microseconds: float) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=float(microseconds))
    return moment.isoformat(sep=" ", timespec="minutes")


def _group_sizes(path: Any) -> Sequence[tuple[int, int]]:
    metadata = pq.read_metadata(path)
    return [(group, metadata.row_group(group).num_rows) for group in range(metadata.num_row_groups)]


def _missing(rows: Rows) -> dict[str, float]:
    """Return the share of nulls of each column whose files all tell it."""
    nulls: Counter[str] = Counter()
    told = dict.fromkeys(rows.schema.names, True)
    for path in rows.paths:
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                column = metadata.row_group(group).column(place)
                statistics = column.statistics
                if statistics is not None and statistics.has_null_count:
                    nulls[column.path_in_schema] += statistics.null_count
                else:
                    told[column.path_in_schema] = False
    return {name: nulls[name] / max(rows.num_rows, 1) for name in rows.schema.names if told[name] and name in nulls}
