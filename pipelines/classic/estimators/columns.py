"""What kind of column a feature is, and how its values become numbers.

A column is looked at once, on the training rows; what was learnt is a small plain `ColumnPlan` that is saved with the
model. Nothing here looks at the target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import DataError

Kind = Literal["number", "boolean", "category", "date", "timestamp", "duration", "time", "unusable"]

LARGEST_NUMBER = 1e30  # forests compute in float32, and squares must stay finite
RAREST_LEVEL = 2  # a level that one row has says nothing about other rows
MOST_LEVELS = 100_000  # a bound for memory; rarer levels are one level together
MISSING = ""  # never a level: the empty text counts as missing

_Part = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def kind_of(name: str, type_: pa.DataType) -> Kind:
    """Return the kind of a column by its Arrow type.

    Raises:
        DataError: For nested and binary types, which no feature can have.

    >>> kind_of("carrier", pa.string()), kind_of("late", pa.bool_())
    ('category', 'boolean')
    """
    types = pa.types
    if types.is_dictionary(type_):
        return kind_of(name, type_.value_type)
    checks: list[tuple[Kind, bool]] = [
        ("unusable", types.is_null(type_)),
        ("boolean", types.is_boolean(type_)),
        ("number", types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_)),
        ("category", types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_)),
        ("date", types.is_date(type_)),
        ("timestamp", types.is_timestamp(type_)),
        ("duration", types.is_duration(type_)),
        ("time", types.is_time(type_)),
    ]
    for kind, holds in checks:
        if holds:
            return kind
    raise DataError(
        f"Feature {name!r} has type {type_}; allowed are numbers, booleans, text, dates, times and durations. "
        "Nothing was trained or predicted."
    )


def as_numbers(name: str, kind: Kind, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a number, boolean, duration or time column as float64, shape (n,); missing and infinite become NaN.

    Durations and times are in seconds. Raises `DataError` when values do not fit the kind.
    """
    try:
        if kind == "duration":
            column = column.cast(pa.duration("us")).cast(pa.int64())
        elif kind == "time":
            column = column.cast(pa.time64("us"), safe=False).cast(pa.int64())
        elif kind == "boolean" and not pa.types.is_boolean(column.type):
            column = column.cast(pa.float64()).cast(pa.bool_())
        values = to_numpy(column.cast(pa.float64(), safe=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"Feature {name!r} was a {kind} when the model was trained; now it has type {column.type} and cannot be "
            f"read as one ({error}). Nothing was predicted."
        ) from error
    if kind in {"duration", "time"}:
        values = values / 1e6
    return np.clip(np.where(np.isfinite(values), values, np.nan), -LARGEST_NUMBER, LARGEST_NUMBER)


def as_dates(name: str, kind: Kind, column: pa.ChunkedArray) -> dict[str, NDArray[np.float64]]:
    """Return the parts of a date or timestamp column, each of shape (n,); missing is NaN.

    `days` counts from 1970 on. A time zone keeps its wall clock, since habits follow the clock on the wall.
    """
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        try:
            column = column.cast(pa.timestamp("us"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"Feature {name!r} was a {kind} when the model was trained; now it has type {column.type} and cannot "
                f"be read as one ({error}). Nothing was predicted."
            ) from error
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    column = column.cast(pa.timestamp("us"), safe=False)
    parts: dict[str, _Part] = {
        "days": lambda column: pc.divide(column.cast(pa.int64()).cast(pa.float64()), 86_400e6),
        "month": pc.month,
        "day": pc.day,
        "weekday": pc.day_of_week,
    }
    if kind == "timestamp":
        parts |= {"hour": pc.hour, "minute": pc.minute}
    return {part: to_numpy(function(column).cast(pa.float64())) for part, function in parts.items()}


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return any column as text, for one that was a category in training."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string())


def learn_levels(column: pa.ChunkedArray) -> list[str]:
    """Return the levels of a text column, the most frequent first, equally frequent ones in order of their text.

    A level's place is its code. Levels of a single row are left out: they share the code after the last one.
    """
    counts = pc.value_counts(as_text(column).combine_chunks())
    found = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    known = [(-count, level) for level, count in found if level and count >= RAREST_LEVEL]
    return [level for _, level in sorted(known)[:MOST_LEVELS]]


def as_codes(column: pa.ChunkedArray, levels: list[str]) -> NDArray[np.float64]:
    """Return the code of each level, shape (n,): NaN for missing, `len(levels)` for any level that is not known."""
    text = as_text(column)
    codes = to_numpy(pc.index_in(text, value_set=pa.array(levels, pa.string())).cast(pa.float64()))
    missing = pc.or_(pc.is_null(text), pc.fill_null(pc.equal(text, MISSING), False))
    unknown = np.isnan(codes) & ~missing.to_numpy(zero_copy_only=False).astype(bool)
    return np.where(unknown, float(len(levels)), codes)


def to_numpy(column: Any) -> NDArray[np.float64]:
    """Return a float64 column as numpy, shape (n,), null as NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
