"""Tell whether the champion learnt from rows that it is now to be judged on.

A champion was trained on a snapshot of its own, and a later snapshot may hold out rows that the earlier one gave to
training: a changed rule, a larger share, a window that ends sooner. Its score there is flattered, and no paired test
makes up for that. Where the two rules alone show that nothing is shared, no row is read; otherwise rows are counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from pipelines.data.keys import key_text
from pipelines.data.manifests import HoldoutRule, Manifest, Side
from pipelines.data.splits import connected
from pipelines.data.sql import literal, quoted
from pipelines.store import Store
from pipelines.store.verified import fetch_verified


def champion_saw_holdout(store: Store, ours: Manifest, champions: Manifest) -> str | None:
    """Return in words how the champion came to know rows of this holdout, or None when it does not.

    By time, rows at or after the first held-out moment count as seen, whether they are held out or later: who has
    seen what came after has an advantage that no challenger may have. By key, rows with a held-out key count.

    Args:
        store: Where both snapshots are.
        ours: The snapshot that candidate and champion are judged on.
        champions: The snapshot that the champion was trained on.

    Raises:
        ObjectMissing: If a file that must be counted is gone.
        IntegrityError: If it is not the one that was written.
    """
    if ours.sha256 == champions.sha256 or _apart_by_key(ours.rule, champions.rule):
        return None
    if _same_clock(ours.rule, champions.rule):
        return _seen_by_time(ours, champions)
    known = {column.name for column in champions.training.columns}
    if lost := [column for column in ours.rule.columns if column not in known]:
        return f"the champion learnt from data without {', '.join(lost)}: nobody can show it is free of these rows"
    seen = _count_seen(store, ours, champions)
    if seen == 0:
        return None
    return f"the champion was trained on {seen:,} rows that {ours.rule} now holds out"


def champion_saw_content(store: Store, ours: Manifest, champions: Manifest, column: str) -> str | None:
    """Return in words how many held-out rows the champion was trained on, told by a hash of their content, or None.

    A rule on keys that are derived, such as groups of near-duplicates, cannot tell: with other rows in the snapshot the
    same row may be of another group.

    Args:
        store: Where both snapshots are.
        ours: The snapshot that candidate and champion are judged on.
        champions: The snapshot that the champion was trained on.
        column: The column with the hash of a row's content.

    Raises:
        ObjectMissing: If a file that must be counted is gone.
        IntegrityError: If it is not the one that was written.
    """
    if ours.sha256 == champions.sha256:
        return None
    for what, manifest in (("this snapshot", ours), ("the champion's snapshot", champions)):
        if column not in {known.name for known in manifest.training.columns}:
            return f"{what} has no column {column}: nobody can show that the champion is free of these rows"
    with _opened() as (connection, stack):
        held_out = _union(_fetch(stack, store, ours.holdout), quoted(column))
        trained_on = _union(_fetch(stack, store, champions.training.train), quoted(column))
        seen = _number(connection, f"SELECT count(*) FROM ({held_out}) WHERE value IN ({trained_on})")
    if seen == 0:
        return None
    return f"the champion was trained on {seen:,} of the {ours.holdout.num_rows:,} held-out rows"


def _apart_by_key(ours: HoldoutRule, champions: HoldoutRule) -> bool:
    """Tell whether every key that is held out now was held out then: same hash, and no larger share."""
    if ours.by != "key" or (ours.columns, ours.salt) != (champions.columns, champions.salt):
        return False
    return ours.share is not None and champions.share is not None and ours.share <= champions.share


def _same_clock(ours: HoldoutRule, champions: HoldoutRule) -> bool:
    return ours.by == champions.by == "time" and ours.columns == champions.columns


def _seen_by_time(ours: Manifest, champions: Manifest) -> str | None:
    first_held_out, last_seen = ours.proof.holdout_min, champions.proof.train_max
    if first_held_out is None or last_seen is None:
        return "the champion cannot be placed in time: its snapshot or this one does not say where it begins or ends"
    if datetime.fromisoformat(last_seen) < datetime.fromisoformat(first_held_out):
        return None
    return f"the champion was trained on rows up to {last_seen}, and this holdout begins at {first_held_out}"


def _count_seen(store: Store, ours: Manifest, champions: Manifest) -> int:
    with _opened() as (connection, stack):
        trained = _fetch(stack, store, champions.training.train)
        if ours.rule.by == "time":
            rows = _union(trained, f"epoch_us({quoted(ours.rule.columns[0])})")
            first = f"epoch_us({literal(str(ours.proof.holdout_min))}::TIMESTAMP)"
            return _number(connection, f"SELECT count(*) FROM ({rows}) WHERE value >= {first}")
        held_out = _union_of_keys(_fetch(stack, store, ours.holdout), ours.rule.columns)
        trained_on = _union_of_keys(trained, ours.rule.columns)
        return _number(connection, f"SELECT count(*) FROM ({trained_on}) WHERE value IN ({held_out})")


@contextmanager
def _opened() -> Iterator[tuple[duckdb.DuckDBPyConnection, ExitStack]]:
    with (
        tempfile.TemporaryDirectory(prefix="tandem-") as folder,
        connected(Path(folder)) as connection,
        ExitStack() as stack,
    ):
        yield connection, stack


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    counted = connection.execute(query).fetchone()
    assert counted is not None  # an aggregate always gives one row
    return int(counted[0])


def _fetch(stack: ExitStack, store: Store, side: Side) -> list[Path]:
    return [stack.enter_context(fetch_verified(store, one.key, one.content_sha256)) for one in side.partitions]


def _union(paths: Iterable[Path], expression: str) -> str:
    return " UNION ALL ".join(f"SELECT {expression} AS value FROM read_parquet({literal(str(path))})" for path in paths)


def _union_of_keys(paths: Iterable[Path], columns: Sequence[str]) -> str:
    return " UNION ALL ".join(_union([path], key_text(pq.read_schema(path), columns)) for path in paths)
