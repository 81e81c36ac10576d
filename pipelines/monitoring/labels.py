"""Join what was predicted with the labels that arrive later: late, in parts, doubled, corrected, contradicting.

Each row that was scored gets one label at most, whatever was delivered how often:

    no label yet, or null          the row waits; null and NaN say nothing
    the same label again           it counts once
    another label in a newer       the newer one counts, and the row is `corrected`
      delivery
    two labels in one delivery     neither counts, nor does an older one: the row is in doubt (`contradicting`) until a
                                   newer delivery says one thing
    a label for a row that was     it is counted, and used once the row is scored
      never scored
    labels without keys, in a      they are counted as `unplaced` and not used: which row is whose cannot be told
      file with other rows
    a label for what was not       it is counted as `misplaced` and not used, where the caller says what a row is about:
      asked                        the question under a key may have changed since it was answered
    two scored rows of one key     the first one's prediction is held to the label; the others are `doubled`

The join runs in DuckDB, which spills to disk: memory does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.parquet import ROW_GROUP_ROWS, ParquetWriter
from pipelines.data.splits import connected
from pipelines.data.sql import literal, quoted
from pipelines.errors import DataError
from pipelines.records import Record

ROW = "row"
TRUTH = "truth"

Delivery = Sequence[Path]
"""The Parquet files that arrived together; each has the key columns and the target, and may have other columns."""


class LabelCounts(Record):
    """What became of the rows of one scored file, and of the labels; every scored row is in exactly one of the first.

    `num_scored` is the sum of `num_labelled`, `num_waiting`, `num_contradicting` and `num_doubled`. `num_corrected` are
    labelled rows that had another label before. `num_never_scored` counts keys with a label but without a scored row,
    `num_unplaced` labels that came without keys in a file that has not as many rows as were scored, and `num_misplaced`
    keys that were scored and have labels, none of which is for what the row was about.
    """

    num_scored: int
    num_labelled: int
    num_waiting: int
    num_contradicting: int
    num_doubled: int
    num_corrected: int
    num_never_scored: int
    num_unplaced: int = 0
    num_misplaced: int = 0


@dataclass(frozen=True)
class Labelled:
    """The labelled rows in the order in which they were scored: the scored file's columns and `truth`."""

    path: Path
    counts: LabelCounts


def join_labels(
    scored: Path,
    deliveries: Sequence[Delivery],
    key_columns: Sequence[str],
    target: str,
    folder: Path,
    about: str | None = None,
) -> Labelled:
    """Write the labelled rows to a file in `folder`, and count what was found.

    The same files in the same order give the same bytes.

    Args:
        scored: Parquet with the key columns, `row` and whatever was predicted.
        deliveries: Labels in the order in which they arrived, the oldest first. There may be none.
        key_columns: What tells rows apart. Where there are none, a label belongs to the row of the same number: in a
            column `row`, or else the row's place in its file, where that has as many rows as were scored.
        target: The column of the labels.
        folder: Takes the file, and what does not fit into memory.
        about: A column of all files that tells what was asked: a label belongs to a row that says the same there.

    Raises:
        DataError: If a file lacks a key column or the target.
    """
    schema = pq.read_schema(scored)
    beside = [] if about is None else [about]
    _require(schema, [*key_columns, *beside, ROW], "The scored rows")
    paths = [(number, path) for number, delivery in enumerate(deliveries) for path in delivery]
    schemas = [pq.read_schema(path) for _, path in paths]
    for found in schemas:
        _require(found, [*key_columns, *beside, target], "A delivery of labels")
    keys = [*(key_columns or [ROW]), *beside]
    casts = {key: _common([schema, *schemas], key) for key in keys}
    label = _common(schemas, target)
    with connected(folder) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # else the file's bytes would depend on the machine's
        own = ", ".join(f"{_cast(schema, key, casts[key])} AS k{place}" for place, key in enumerate(keys))
        names = ", ".join(f"k{place}" for place in range(len(keys)))
        connection.execute(
            f"CREATE TABLE scored AS SELECT {names}, min({ROW}) AS {ROW}, count(*) AS copies "
            f"FROM (SELECT {own}, {ROW} FROM {_rows(scored)}) GROUP BY {names}"
        )
        connection.execute(
            f"CREATE TABLE labels AS SELECT {names}, 0 AS delivery, NULL::{label} AS label FROM scored LIMIT 0"
        )
        num_unplaced, num_scored = 0, pq.read_metadata(scored).num_rows
        for (number, path), found in zip(paths, schemas, strict=True):
            if not key_columns and ROW not in found.names and pq.read_metadata(path).num_rows != num_scored:
                num_unplaced += _numbers(
                    connection, f"SELECT count(*) FROM {_rows(path)} WHERE {_says(found, target)}"
                )[0]
                continue
            parts = ", ".join(_cast(found, key, casts[key]) for key in keys)
            value = _cast(found, target, label)
            connection.execute(
                f"INSERT INTO labels SELECT {parts}, {number}, {value} FROM {_rows(path)} WHERE {_says(found, target)}"
            )
        _decide(connection, names, len(keys), len(keys) - len(beside))
        counts = _count(connection, num_unplaced)
        path = folder / f"{scored.stem}.labelled.parquet"
        _write(connection, scored, schema, path)
    return Labelled(path, counts)


def _decide(connection: duckdb.DuckDBPyConnection, names: str, num_keys: int, num_places: int) -> None:
    """Make the table `known`: one label a key, whether it is in doubt, and the row that it belongs to, if any.

    `place` is what the first `num_places` columns of the key say, and `is_scored` whether a row with that was scored.
    """
    connection.execute(
        f"CREATE TABLE decided AS SELECT {names}, arg_max(low, delivery) AS label, "
        "arg_max(low IS DISTINCT FROM high, delivery) AS is_in_doubt, "
        "count(DISTINCT low) FILTER (low IS NOT DISTINCT FROM high) AS num_labels "
        f"FROM (SELECT {names}, delivery, min(label) AS low, max(label) AS high FROM labels GROUP BY ALL) "
        f"GROUP BY {names}"
    )
    place = ", ".join(f"k{number}" for number in range(num_places))
    connection.execute(
        f"CREATE TABLE known AS SELECT scored.{ROW}, label, is_in_doubt, num_labels, "
        f"row({', '.join(f'decided.k{number}' for number in range(num_places))}) AS place, "
        "places.is_scored IS NOT NULL AS is_scored "
        f"FROM decided LEFT JOIN scored ON {_same('scored', num_keys)} "
        f"LEFT JOIN (SELECT DISTINCT {place}, true AS is_scored FROM scored) AS places ON {_same('places', num_places)}"
    )


def _same(table: str, num_keys: int) -> str:
    return " AND ".join(f"decided.k{number} IS NOT DISTINCT FROM {table}.k{number}" for number in range(num_keys))


def _count(connection: duckdb.DuckDBPyConnection, num_unplaced: int) -> LabelCounts:
    num_scored, num_keys = _numbers(connection, "SELECT coalesce(sum(copies), 0), count(*) FROM scored")
    labelled, doubtful, corrected, elsewhere = _numbers(
        connection,
        f"SELECT count(*) FILTER ({ROW} IS NOT NULL AND NOT is_in_doubt), "
        f"count(*) FILTER ({ROW} IS NOT NULL AND is_in_doubt), "
        f"count(*) FILTER ({ROW} IS NOT NULL AND NOT is_in_doubt AND num_labels > 1), "
        "count(DISTINCT place) FILTER (NOT is_scored) FROM known",
    )
    (misplaced,) = _numbers(
        connection,
        f"SELECT count(*) FROM (SELECT place FROM known GROUP BY place HAVING count({ROW}) = 0 AND bool_or(is_scored))",
    )
    return LabelCounts(
        num_scored=num_scored,
        num_labelled=labelled,
        num_waiting=num_keys - labelled - doubtful,
        num_contradicting=doubtful,
        num_doubled=num_scored - num_keys,
        num_corrected=corrected,
        num_never_scored=elsewhere,
        num_unplaced=num_unplaced,
        num_misplaced=misplaced,
    )


def _write(connection: duckdb.DuckDBPyConnection, scored: Path, schema: pa.Schema, path: Path) -> None:
    names = ", ".join(f"file.{quoted(name)}" for name in schema.names if name != TRUTH)
    rows = connection.sql(
        f"SELECT {names}, known.label AS {TRUTH} FROM {_rows(scored)} AS file JOIN known ON file.{ROW} = known.{ROW} "
        f"WHERE NOT known.is_in_doubt ORDER BY file.{ROW}"
    ).to_arrow_reader(ROW_GROUP_ROWS)
    with ParquetWriter(path, rows.schema) as writer:
        for batch in rows:
            writer.write(batch)


def _require(schema: pa.Schema, columns: Sequence[str], what: str) -> None:
    if missing := [column for column in columns if column not in schema.names]:
        raise DataError(
            f"{what} lack the columns {missing}: there are {schema.names[:30]}. Without them no label can be given to "
            "its row; nothing was joined."
        )


def _common(schemas: Sequence[pa.Schema], column: str) -> str:
    """Return the DuckDB type in which a column's values are compared, whatever the files say they are."""
    kinds = {_kind(schema.field(column).type) for schema in schemas if column in schema.names}
    if len(kinds) > 1:
        return "DOUBLE" if kinds == {"BIGINT", "DOUBLE"} else "VARCHAR"
    return kinds.pop() if kinds else "BIGINT"


def _kind(kind: pa.DataType) -> str:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_integer(kind) and kind != pa.uint64():  # which has numbers that a BIGINT has not
        return "BIGINT"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "TIMESTAMP"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    return "DOUBLE" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else "VARCHAR"


def _cast(schema: pa.Schema, column: str, to: str) -> str:
    if column not in schema.names:
        return f"file_row_number::{to}"
    name = quoted(column)
    # an instant is the same whatever zone a session or a column has
    return f"make_timestamp(epoch_us({name}))" if to == "TIMESTAMP" else f"{name}::{to}"


def _says(schema: pa.Schema, target: str) -> str:
    name = quoted(target)
    is_float = pa.types.is_floating(schema.field(target).type)
    return f"{name} IS NOT NULL AND NOT isnan({name})" if is_float else f"{name} IS NOT NULL"


def _numbers(connection: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return [int(value) for value in rows[0]]


def _rows(path: Path) -> str:
    return f"read_parquet({literal(str(path))}, file_row_number = true)"
