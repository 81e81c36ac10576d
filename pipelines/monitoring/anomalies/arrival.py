"""Whether as many rows came as usual, as fresh as they should be, and each once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pipelines.data.profiles import Profile
from pipelines.data.splits import connected
from pipelines.data.sql import literal, quoted
from pipelines.monitoring.labels import LabelCounts
from pipelines.records import Anomaly

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_DAY = 86_400_000_000


def volume(num_rows: int, usual: Sequence[int], factor: float) -> list[Anomaly]:
    """Return an alarm where a window is empty, or has `factor` times fewer or more rows than the usual window.

    Args:
        num_rows: Rows of the window.
        usual: Rows of earlier windows, or of the training partitions, of the same length of time; none says nothing.
        factor: How many times fewer or more is still usual.
    """
    if num_rows == 0:
        return [
            _anomaly("empty", "critical", "The window has 0 rows: nothing can be said of it but that nothing came.")
        ]
    known = [rows for rows in usual if rows > 0]
    if not known:
        return []
    middle = float(np.median(known))
    if middle / factor <= num_rows <= middle * factor:
        return []
    than, meaning = ("fewer", "some may not have come") if num_rows < middle else ("more", "some may have come twice")
    times = max(num_rows, middle) / min(num_rows, middle)
    return [
        _anomaly(
            "volume",
            "warning",
            f"The window has {num_rows:,} rows, {times:.1f} times {than} than usual ({middle:,.0f}, the median of "
            f"{len(known)} windows); up to {factor:g} times is allowed: {meaning}.",
        )
    ]


def freshness(profile: Profile, time_column: str | None, as_of: datetime, most_days_old: float | None) -> list[Anomaly]:
    """Return an alarm where the newest row is older than it may be, or no row says how old it is.

    Args:
        profile: Of the window's rows.
        time_column: What places a row in time; times without a zone are taken as UTC.
        as_of: The moment that the report is about, with its zone.
        most_days_old: Bound; None asks for nothing.
    """
    if most_days_old is None or time_column is None or profile.num_rows == 0:
        return []
    column = next((column for column in profile.columns if column.name == time_column), None)
    if column is None or column.number is None or column.number.maximum is None:
        message = (
            f"No row says when it is from ({time_column!r} is missing); rows up to {most_days_old:g} days old are "
        )
        return [_anomaly("freshness", "warning", f"{message}fresh, so nobody knows whether these are.", time_column)]
    days = ((as_of - _EPOCH) / _MICROSECOND - column.number.maximum) / _MICROSECONDS_PER_DAY
    if days <= most_days_old:
        return []
    newest = str(np.datetime64(int(column.number.maximum), "us"))[:16].replace("T", " ")  # knows years before 1, too
    return [
        _anomaly(
            "freshness",
            "warning",
            f"The newest row is from {newest}, {days:.1f} days before {as_of:%Y-%m-%d %H:%M}; "
            f"{most_days_old:g} are allowed: what came since is not in it.",
            time_column,
        )
    ]


def duplicate_keys(scored: Path, key_columns: Sequence[str]) -> list[Anomaly]:
    """Return an alarm where rows of a Parquet file share a key, or lack a part of it. Counted in DuckDB."""
    if not key_columns:
        return []
    names = ", ".join(map(quoted, key_columns))
    lacking = " OR ".join(f"{quoted(column)} IS NULL" for column in key_columns)
    with tempfile.TemporaryDirectory(prefix="tandem-keys-") as folder, connected(Path(folder)) as connection:
        ((num_rows, num_keys, num_lacking),) = connection.execute(
            f"SELECT coalesce(sum(copies), 0), count(*), coalesce(sum(lacking), 0) FROM ("
            f"SELECT count(*) AS copies, count(*) FILTER ({lacking}) AS lacking "
            f"FROM read_parquet({literal(str(scored))}) GROUP BY {names})"
        ).fetchall()
    keys, found = ", ".join(key_columns), []
    if num_rows > num_keys:
        again = num_rows - num_keys
        found.append(
            _anomaly(
                "duplicate_keys",
                "warning",
                f"{again:,} of {num_rows:,} rows ({again / num_rows:.2%}) repeat the key of another row ({keys}); 0 "
                "are allowed: a label is held to the first of them only.",
            )
        )
    if num_lacking:
        found.append(
            _anomaly(
                "missing_keys",
                "warning",
                f"{num_lacking:,} of {num_rows:,} rows lack a part of their key ({keys}); 0 are allowed: their labels "
                "may be given to another row.",
            )
        )
    return found


def undated_rows(num_undated: int, num_rows: int) -> list[Anomaly]:
    """Return an alarm where rows came that have no time: they belong to no window, and nothing is told of them."""
    if not num_undated:
        return []
    message = (
        f"{num_undated:,} rows came with the {num_rows:,} of this window and have no time; 0 are expected: the "
        "champion has answered them, and no window tells how well."
    )
    return [_anomaly("undated_rows", "warning", message)]


def odd_labels(counts: LabelCounts, num_unknown: int) -> list[Anomaly]:
    """Return an alarm for each kind of label that could not be used as it came.

    Args:
        counts: What the labels were found to be.
        num_unknown: Labels that are no class of the model.
    """
    kinds = (
        ("contradicting_labels", counts.num_contradicting, "have two labels in one delivery", "neither counts"),
        (
            "labels_never_scored",
            counts.num_never_scored,
            "have a label and were never scored",
            "they count once scored",
        ),
        (
            "unplaced_labels",
            counts.num_unplaced,
            "have a label but no key, and came with other rows than were scored",
            "they were not used; name the source's key_columns in the spec",
        ),
        (
            "misplaced_labels",
            counts.num_misplaced,
            "have a label for something else than was asked",
            "they were not used",
        ),
        ("unknown_labels", num_unknown, "have a label that is no class of the model", "they were not measured"),
    )
    return [
        _anomaly(
            kind, "warning", f"{number:,} rows {what}, of {counts.num_scored:,} scored; 0 are expected: {outcome}."
        )
        for kind, number, what, outcome in kinds
        if number
    ]


def _anomaly(kind: str, severity: str, message: str, column: str | None = None) -> Anomaly:
    return Anomaly.model_validate({"kind": kind, "severity": severity, "column": column, "message": message})
