"""Prove on the written files that no row and no key is on both sides of a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from pipelines.data.keys import key_text
from pipelines.data.manifests import HoldoutRule, Proof
from pipelines.data.splits import Cut, connected, held_out
from pipelines.data.sql import literal, quoted
from pipelines.errors import IntegrityError


def prove_disjoint(cuts: Sequence[Cut], rule: HoldoutRule, folder: Path) -> Proof:
    """Read both sides back from their files, compute the side of every row again, and return what was counted.

    DuckDB's own Parquet reader is used here, and Arrow's where the files were written: one of them being wrong is seen.

    Raises:
        IntegrityError: If any row is on the wrong side, or a time or key is on both.
    """
    train = [found.train for found in cuts if found.train is not None]
    holdout = [found.holdout for found in cuts if found.holdout is not None]
    with connected(folder) as connection:
        prove = _prove_by_time if rule.by == "time" else _prove_by_key
        proof = prove(connection, train, holdout, rule)
    if proof.misplaced_rows or proof.overlap:
        raise IntegrityError(
            f"The sides of the snapshot are not disjoint by {rule}: {proof.misplaced_rows} rows are misplaced and "
            f"{proof.overlap} rows or keys are on both, of {proof.num_rows_train} training and "
            f"{proof.num_rows_holdout} holdout rows; 0 of each are allowed. No snapshot was taken."
        )
    return proof


def _prove_by_time(
    connection: duckdb.DuckDBPyConnection, train: Sequence[Path], holdout: Sequence[Path], rule: HoldoutRule
) -> Proof:
    time = f"epoch_us({quoted(rule.columns[0])})"
    train_max = _largest(connection, train, time)
    holdout_min = -_largest(connection, holdout, f"-{time}")
    late = f"coalesce({time} >= {holdout_min}, true)"
    return Proof(
        num_rows_train=_count(connection, train, "true"),
        num_rows_holdout=_count(connection, holdout, "true"),
        train_max=_iso(train_max),
        holdout_min=_iso(holdout_min),
        misplaced_rows=_num_misplaced(connection, train, holdout, rule),
        overlap=_count(connection, train, late),
    )


def _prove_by_key(
    connection: duckdb.DuckDBPyConnection, train: Sequence[Path], holdout: Sequence[Path], rule: HoldoutRule
) -> Proof:
    for side, paths in (("train_keys", train), ("holdout_keys", holdout)):
        connection.execute(f"CREATE TABLE {side} (key VARCHAR)")
        for path in paths:
            text = key_text(pq.read_schema(path), rule.columns)
            connection.execute(f"INSERT INTO {side} SELECT DISTINCT {text} FROM {_rows(path)}")
    return Proof(
        num_rows_train=_count(connection, train, "true"),
        num_rows_holdout=_count(connection, holdout, "true"),
        num_keys_train=_number(connection, "SELECT count(DISTINCT key) FROM train_keys"),
        num_keys_holdout=_number(connection, "SELECT count(DISTINCT key) FROM holdout_keys"),
        misplaced_rows=_num_misplaced(connection, train, holdout, rule),
        overlap=_number(
            connection, "SELECT count(DISTINCT key) FROM holdout_keys WHERE key IN (SELECT key FROM train_keys)"
        ),
    )


def _num_misplaced(
    connection: duckdb.DuckDBPyConnection, train: Sequence[Path], holdout: Sequence[Path], rule: HoldoutRule
) -> int:
    wrong = sum(_count(connection, [path], _wrongly_in_train(path, rule)) for path in train)
    return wrong + sum(_count(connection, [path], f"NOT {_right_in_holdout(path, rule)}") for path in holdout)


def _wrongly_in_train(path: Path, rule: HoldoutRule) -> str:
    return f"coalesce({held_out(rule, pq.read_schema(path))}, true)"


def _right_in_holdout(path: Path, rule: HoldoutRule) -> str:
    return f"coalesce({held_out(rule, pq.read_schema(path))}, false)"


def _count(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], condition: str) -> int:
    counts = (_number(connection, f"SELECT count(*) FROM {_rows(path)} WHERE {condition}") for path in paths)
    return sum(counts)


def _largest(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], expression: str) -> int:
    return max(_number(connection, f"SELECT max({expression}) FROM {_rows(path)}") for path in paths)


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None  # an aggregate always gives one row
    return int(row[0])


def _rows(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"


def _iso(microseconds: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=microseconds)).isoformat()
