"""Whether a champion was trained on rows that it is now judged on, on real snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.fairness import champion_saw_content, champion_saw_holdout
from pipelines.data.manifests import Manifest, Side
from pipelines.data.snapshots import read_manifest
from pipelines.errors import ObjectMissing
from pipelines.records import Partition, Validated, Window
from pipelines.spec import ClassicSpec, Environment
from pipelines.steps.context import Context
from pipelines.steps.snapshot import snapshot
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import file_sha256

START = datetime(2013, 1, 1)


class Snapshots:
    """Takes snapshots of one row an hour, each into the same store."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.store = MemoryStore()
        self._environment, self._folder = environment, folder

    def take(self, days: tuple[int, int], holdout: dict[str, Any], without: tuple[str, ...] = ()) -> Manifest:
        hours = range(24 * days[0], 24 * days[1])
        rows = pa.table({
            "at": pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us")),
            "customer": [f"c{hour}" for hour in hours],
            "x": [float(hour % 7) for hour in hours],
            "y": [hour % 2 for hour in hours],
        }).drop_columns(list(without))  # fmt: skip
        path = self._folder / "rows.parquet"
        pq.write_table(rows, path)
        sha256 = file_sha256(path)
        key = f"toy/clean/all/{sha256}.parquet"
        self.store.upload(key, path)
        clean = Partition(name="all", key=key, content_sha256=sha256, num_rows=len(rows), size_bytes=1)
        validated = Validated(
            model="toy", window=Window(), partitions=(clean,), quarantined=(), num_rows_in=len(rows), num_rows_bad=0,
            checks=(), report_key="toy/report.html",
        )  # fmt: skip
        source = {
            "type": "files", "paths": ["*.csv"], "format": "csv", "time_column": None if "at" in without else "at",
            "key_columns": [] if "customer" in without else ["customer"], "partition_by": "none",
        }  # fmt: skip
        spec = ClassicSpec.model_validate({
            "kind": "classic", "name": "toy", "description": "A toy.", "source": source, "holdout": holdout,
            "training": {"task": "binary", "target": "y", "features": ["x"], "budget": {"trials": 1}},
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.5}]},
        })  # fmt: skip
        reference = snapshot(Context(spec, self._environment, self.store), validated)
        return read_manifest(self.store, "toy", reference.snapshot_id)

    def seen(self, ours: Manifest, champions: Manifest) -> str | None:
        return champion_saw_holdout(self.store, ours, champions)


@pytest.fixture
def snapshots(environment: Environment, tmp_path: Path) -> Snapshots:
    """Takes snapshots into a store of its own."""
    return Snapshots(environment, tmp_path)


LAST_TWO_DAYS = {"by": "time", "last_days": 2}


def by_key(share: float, salt: str = "tandem") -> dict[str, Any]:
    return {"by": "key", "share": share, "salt": salt}


@pytest.mark.parametrize("holdout", [LAST_TWO_DAYS, by_key(0.3)])
def test_the_same_snapshot_is_fair(snapshots: Snapshots, holdout: dict[str, Any]) -> None:
    one = snapshots.take((0, 10), holdout)
    assert snapshots.seen(one, one) is None


def test_by_time_a_champion_of_an_earlier_window_is_fair(snapshots: Snapshots) -> None:
    assert snapshots.seen(snapshots.take((0, 12), LAST_TWO_DAYS), snapshots.take((0, 10), LAST_TWO_DAYS)) is None


def test_by_time_a_champion_that_knows_the_first_held_out_hour_is_not_fair(snapshots: Snapshots) -> None:
    ours = snapshots.take((0, 10), LAST_TWO_DAYS)  # holds out days 8 and 9
    before = snapshots.take((0, 10), LAST_TWO_DAYS)
    assert snapshots.seen(ours, before) is None
    after = snapshots.take((0, 11), LAST_TWO_DAYS)  # trained on day 8
    assert snapshots.seen(ours, after) == (
        "the champion was trained on rows up to 2013-01-09T23:00:00, and this holdout begins at 2013-01-09T00:00:00"
    )


def test_by_time_a_champion_from_the_future_is_not_fair(snapshots: Snapshots) -> None:
    ours, future = snapshots.take((0, 10), LAST_TWO_DAYS), snapshots.take((20, 30), LAST_TWO_DAYS)
    assert "was trained on rows up to" in str(snapshots.seen(ours, future))


def test_by_key_the_same_keys_are_held_out_in_every_window(snapshots: Snapshots) -> None:
    ours, champions = snapshots.take((0, 10), by_key(0.3)), snapshots.take((2, 12), by_key(0.3))
    assert snapshots.seen(ours, champions) is None
    assert snapshots.seen(snapshots.take((0, 10), by_key(0.2)), champions) is None


def test_by_key_a_larger_share_or_another_salt_takes_rows_that_the_champion_knows(snapshots: Snapshots) -> None:
    champions = snapshots.take((0, 10), by_key(0.3))
    larger, salted = snapshots.take((0, 10), by_key(0.6)), snapshots.take((0, 10), by_key(0.3, "other"))
    known = larger.holdout.num_rows - champions.holdout.num_rows
    assert str(snapshots.seen(larger, champions)).startswith(
        f"the champion was trained on {known} rows that a share of 0.6 of keys"
    )
    assert "now holds out" in str(snapshots.seen(salted, champions))


def test_by_key_other_customers_are_nothing_that_the_champion_saw(snapshots: Snapshots) -> None:
    champions = snapshots.take((0, 10), by_key(0.3))
    assert snapshots.seen(snapshots.take((20, 30), by_key(0.6)), champions) is None


def test_rules_of_two_kinds_are_settled_by_counting_rows(snapshots: Snapshots) -> None:
    time, key = snapshots.take((0, 10), LAST_TWO_DAYS), snapshots.take((0, 10), by_key(0.3))
    counted = sum(1 for _ in range(48)) - _held_out_of_last_days(snapshots, key)
    assert snapshots.seen(time, key) == (
        f"the champion was trained on {counted} rows that the last 2 days by at, from 2013-01-09 on now holds out"
    )
    assert str(snapshots.seen(key, time)).startswith("the champion was trained on ")
    assert snapshots.seen(time, snapshots.take((0, 8), by_key(0.3))) is None


def _held_out_of_last_days(snapshots: Snapshots, manifest: Manifest) -> int:
    with snapshots.store.fetch(manifest.holdout.partitions[0].key) as path:
        times = pq.read_table(path).column("at").to_pylist()
    return sum(time >= START + timedelta(days=8) for time in times)


def test_a_champion_whose_data_lack_the_rules_columns_cannot_be_cleared(snapshots: Snapshots) -> None:
    ours = snapshots.take((0, 10), by_key(0.3))
    champions = snapshots.take((0, 10), LAST_TWO_DAYS, without=("customer",))
    assert "learnt from data without customer" in str(snapshots.seen(ours, champions))


def test_training_rows_that_are_gone_are_an_error_and_not_a_clearance(snapshots: Snapshots) -> None:
    ours, champions = snapshots.take((0, 10), by_key(0.6)), snapshots.take((0, 10), by_key(0.3))
    snapshots.store.delete(champions.training.train.partitions[0].key)
    with pytest.raises(ObjectMissing):
        snapshots.seen(ours, champions)


def test_content_that_the_champion_learnt_is_found_whatever_the_rules_say(snapshots: Snapshots) -> None:
    ours, other = snapshots.take((0, 10), by_key(0.3)), snapshots.take((0, 10), by_key(0.3, "other"))
    held_out, trained = _customers(snapshots, ours.holdout), _customers(snapshots, other.training.train)
    seen = len(held_out & trained)
    assert 0 < seen < len(held_out)
    assert champion_saw_content(snapshots.store, ours, other, "customer") == (
        f"the champion was trained on {seen} of the {len(held_out)} held-out rows"
    )
    same_rule = snapshots.take((2, 12), by_key(0.3))
    assert champion_saw_content(snapshots.store, ours, same_rule, "customer") is None
    assert champion_saw_content(snapshots.store, ours, ours, "customer") is None


def test_without_a_hash_of_content_nobody_is_cleared(snapshots: Snapshots) -> None:
    ours, other = snapshots.take((0, 10), by_key(0.3)), snapshots.take((0, 11), by_key(0.3))
    assert "has no column content_sha256" in str(champion_saw_content(snapshots.store, ours, other, "content_sha256"))


def _customers(snapshots: Snapshots, side: Side) -> set[str]:
    found: set[str] = set()
    for partition in side.partitions:
        with snapshots.store.fetch(partition.key) as path:
            found |= set(pq.read_table(path).column("customer").to_pylist())
    return found
