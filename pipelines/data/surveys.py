"""Look over the clean partitions before any row is moved: one schema, every needed column, times and targets known."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.parquet import open_parquet
from pipelines.errors import DataError

MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Survey:
    """What must be known of all partitions at once. Times are microseconds since 1970, as the column stands."""

    schema: pa.Schema
    num_rows: dict[str, int]
    times: dict[str, tuple[int, int]]
    """The earliest and latest time of each partition that has rows; empty where no time column was asked for."""

    @property
    def last_day(self) -> int:
        """The day of the latest row, in days since 1970."""
        return max(latest for _, latest in self.times.values()) // MICROSECONDS_PER_DAY


def survey(paths: Mapping[str, Path], columns: Sequence[str], target: str | None, time_column: str | None) -> Survey:
    """Read footers, the time column and the target column of every partition, one row group at a time.

    Args:
        paths: Local Parquet files by partition name.
        columns: Every column that the model spec names.
        target: The column to be predicted; None where there is none.
        time_column: The column the holdout is cut by, or None.

    Raises:
        DataError: If there are no rows, a column is missing, types differ between partitions, the time column is no
            time, or a row lacks its time or its target.
    """
    schema = _one_schema(paths)
    for column in columns:
        if column not in schema.names:
            near = difflib.get_close_matches(column, schema.names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DataError(
                f"Column {column!r} of the model spec is not in the data: it has {schema.names}.{hint} "
                "No snapshot was taken."
            )
    num_rows = {name: pq.read_metadata(path).num_rows for name, path in paths.items()}
    if not sum(num_rows.values()):
        raise DataError(f"All {len(paths)} partitions are empty: 0 rows passed validation. No snapshot was taken.")
    if target is not None:
        _refuse_missing_target(paths, target, sum(num_rows.values()))
    times = {} if time_column is None else _time_bounds(paths, time_column, schema.field(time_column).type)
    return Survey(schema, num_rows, times)


def _one_schema(paths: Mapping[str, Path]) -> pa.Schema:
    schemas = {name: pq.read_schema(path).remove_metadata() for name, path in paths.items()}
    if not schemas:
        raise DataError("There are no partitions in the window: 0 rows. No snapshot was taken.")
    first, unified = next(iter(schemas.items()))
    for name, schema in schemas.items():
        if odd := set(schema.names) ^ set(unified.names):
            raise DataError(
                f"Partitions {first!r} and {name!r} have other columns: {sorted(odd)} stand in one of them only. "
                "No snapshot was taken."
            )
        try:
            unified = pa.unify_schemas([unified, schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"Partition {name!r} has a column of another type than the partitions before it: {error}. "
                "No snapshot was taken."
            ) from error
    return unified


def _refuse_missing_target(paths: Mapping[str, Path], target: str, num_rows: int) -> None:
    missing = {name: sum(map(_num_missing, _values(path, target))) for name, path in paths.items()}
    if count := sum(missing.values()):
        where = ", ".join(f"{name}: {number}" for name, number in missing.items() if number)
        raise DataError(
            f"Target {target!r} is missing in {count} of {num_rows} rows ({count / num_rows:.1%}; {where}). Expect it "
            "not to be null in the spec's quality section, so that such rows are quarantined. No snapshot was taken."
        )


def _num_missing(values: pa.Array) -> int:
    not_finite = pc.sum(pc.invert(pc.is_finite(values))).as_py() if pa.types.is_floating(values.type) else 0
    return int(values.null_count + (not_finite or 0))


def _time_bounds(paths: Mapping[str, Path], column: str, kind: pa.DataType) -> dict[str, tuple[int, int]]:
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise DataError(
            f"Time column {column!r} is of type {kind}; a holdout by time needs a date or a timestamp. "
            "No snapshot was taken."
        )
    bounds: dict[str, tuple[int, int]] = {}
    for name, path in paths.items():
        for values in _values(path, column):
            if values.null_count:
                raise DataError(
                    f"Time column {column!r} is missing in {values.null_count} of {len(values)} rows read from "
                    f"partition {name!r}: they are neither before nor after the holdout. Expect it not to be "
                    "null in the spec's quality section. No snapshot was taken."
                )
            if len(values):
                found = pc.min_max(_microseconds(values)).as_py()
                low, high = bounds.get(name, (found["min"], found["max"]))
                bounds[name] = (min(low, found["min"]), max(high, found["max"]))
    return bounds


def _microseconds(values: pa.Array) -> pa.Array:
    """Return whole microseconds since 1970; what is finer than a microsecond cannot cross midnight and is cut off."""
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    return values.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())


def _values(path: Path, column: str) -> Iterator[pa.Array]:
    with open_parquet(path) as file:
        for batch in file.iter_batches(columns=[column]):
            yield batch.column(0)
