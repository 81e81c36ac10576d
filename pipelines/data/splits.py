"""Cut each partition into training and holdout rows by a rule that decides each row alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.keys import key_text, without_text
from pipelines.data.manifests import HoldoutRule
from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter, open_parquet
from pipelines.data.sql import literal, quoted
from pipelines.data.surveys import MICROSECONDS_PER_DAY, Survey
from pipelines.errors import DataError
from pipelines.spec.source import Holdout

EPOCH = date(1970, 1, 1)
_HASH_DIGITS = 16  # hex digits of the MD5 that decide: a share is exact to 2 ** -64
_MEMORY_LIMIT = "1GB"


@dataclass(frozen=True)
class Cut:
    """The two local files that one partition was cut into; None is a side without rows."""

    name: str
    train: Path | None
    holdout: Path | None


def holdout_rule(
    holdout: Holdout, key_columns: tuple[str, ...], time_column: str | None, survey: Survey
) -> HoldoutRule:
    """Return the complete rule: by time, `last_days` whole days count back from the end of the latest row's day."""
    if holdout.by == "key":
        return HoldoutRule(by="key", columns=key_columns, share=holdout.share, salt=holdout.salt)
    if time_column is None or holdout.last_days is None:
        raise DataError("A holdout by time needs 'source.time_column' and 'holdout.last_days'. No snapshot was taken.")
    first_day = EPOCH + timedelta(days=survey.last_day + 1 - holdout.last_days)
    return HoldoutRule(
        by="time", columns=(time_column,), last_days=holdout.last_days, first_holdout_day=first_day.isoformat()
    )


def held_out(rule: HoldoutRule, schema: pa.Schema) -> str:
    """Return the DuckDB condition of rows on the holdout's side. Every row of `schema` is on exactly one side.

    The key's hash is MD5, which is the same everywhere and needs no secrecy here: the salt is public, and what counts
    is that a key keeps its side in every snapshot to come.
    """
    if rule.by == "time":
        return f"epoch_us({quoted(rule.columns[0])}) >= {first_holdout_microsecond(rule)}"
    salt = f"{len(str(rule.salt).encode())}:{rule.salt}"
    threshold = format(int(Fraction(rule.share or 0.0) * 16**_HASH_DIGITS), f"0{_HASH_DIGITS}x")
    text = f"{literal(salt)} || {key_text(schema, rule.columns)}"
    return f"substr(md5({text}), 1, {_HASH_DIGITS}) < {literal(threshold)}"


def first_holdout_microsecond(rule: HoldoutRule) -> int:
    """Return midnight of the first held-out day in microseconds since 1970."""
    return (date.fromisoformat(str(rule.first_holdout_day)) - EPOCH).days * MICROSECONDS_PER_DAY


def cut(name: str, path: Path, rule: HoldoutRule, folder: Path) -> Cut:
    """Write the rows of one clean partition to one file a side, in their order, a row group in memory at a time.

    A partition that is wholly on one side is handed on as it is, byte for byte.

    Raises:
        DataError: If a key has no canonical text: a fraction, NaN or infinity in a key column.
    """
    with open_parquet(path) as file, connected(folder) as connection:
        if file.metadata.num_rows == 0:
            return Cut(name, None, None)
        num_held_out = _count_held_out(connection, file, rule, name)
        if num_held_out == 0:
            return Cut(name, path, None)
        if num_held_out == file.metadata.num_rows:
            return Cut(name, None, path)
        train_path, holdout_path = folder / f"{name}.train.parquet", folder / f"{name}.holdout.parquet"
        condition = held_out(rule, file.schema_arrow)
        with (
            ParquetWriter(train_path, file.schema_arrow) as train,
            ParquetWriter(holdout_path, file.schema_arrow) as holdout,
        ):
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
                side = _sides(connection, batch, condition)
                holdout.write(batch.filter(side))
                train.write(batch.filter(pc.invert(side)))
    return Cut(name, train_path, holdout_path)


@contextmanager
def connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a DuckDB connection of bounded memory that spills into `folder` and loads nothing from the network."""
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(folder / "duckdb"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    try:
        yield connection
    finally:
        connection.close()


def _count_held_out(connection: duckdb.DuckDBPyConnection, file: pq.ParquetFile, rule: HoldoutRule, name: str) -> int:
    count = 0
    schema = file.schema_arrow
    condition, textless = held_out(rule, schema), "false" if rule.by == "time" else without_text(schema, rule.columns)
    for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=list(rule.columns)):
        if bad := pc.sum(_sides(connection, batch, textless)).as_py():
            raise DataError(
                f"{bad} of {len(batch)} rows read from partition {name!r} have a key that is no whole number in one of "
                f"the columns {list(rule.columns)}: such a key has no one text to hash. No snapshot was taken."
            )
        count += pc.sum(_sides(connection, batch, condition)).as_py() or 0
    return count


def _sides(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, condition: str) -> pa.Array:
    """Return one boolean a row, in the order of the rows."""
    rows = connection.from_arrow(pa.Table.from_batches([batch]))
    return rows.project(f"coalesce({condition}, false) AS side").to_arrow_table().column(0).combine_chunks()
