"""A sample of the training rows is taken once a snapshot, spread over its partitions, and read ever after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.data.manifests import Side
from pipelines.data.parquet import ROW_GROUP_ROWS
from pipelines.data.partitions import store_partition
from pipelines.errors import IntegrityError
from pipelines.monitoring.sampling import PARTITION, reference_sample, sample_rows
from pipelines.store.memory import MemoryStore


@pytest.fixture
def stored(tmp_path: Path) -> tuple[MemoryStore, Side]:
    store, partitions = MemoryStore(), []
    for name, num_rows in {"2013-01": 3_000, "2013-02": 1_000, "2013-03": 7}.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"x": np.arange(num_rows), "text": [f"{n}" for n in range(num_rows)]}), path)
        partitions.append(store_partition(store, f"m/train/{name}", name, path))
    return store, Side(partitions=tuple(partitions), profiles=(), num_rows=4_007, target=None)


def test_partitions_are_in_the_sample_in_proportion_to_their_rows(stored) -> None:
    store, side = stored
    sample = reference_sample(store, "m", "ab12", side, ["text", "x", "gone"], 400)
    assert sample.column_names == ["text", "x", PARTITION]
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(sample[PARTITION]).to_pylist()}
    assert counts == {"2013-01": 299, "2013-02": 100, "2013-03": 1}
    assert len(set(zip(sample["x"].to_pylist(), sample[PARTITION].to_pylist(), strict=True))) == 400


def test_the_rows_are_read_once_and_two_snapshots_have_samples_of_their_own(stored) -> None:
    store, side = stored
    first = reference_sample(store, "m", "ab12", side, ["x"], 400)
    keys = [info.key for info in store.list("m/monitoring/reference/ab12.")]
    for partition in side.partitions:
        store.delete(partition.key)
    assert reference_sample(store, "m", "ab12", side, ["x"], 400) == first
    assert [info.key for info in store.list("m/monitoring/")] == keys
    assert len(keys) == 1


def test_two_that_take_it_at_once_take_the_same(stored, tmp_path) -> None:
    store, side = stored
    first = reference_sample(store, "m", "ab12", side, ["x"], 400)
    (info,) = store.list("m/monitoring/")
    store.delete(info.key)
    assert reference_sample(store, "m", "ab12", side, ["x"], 400) == first
    assert [again.key for again in store.list("m/monitoring/")] == [info.key]


def test_an_altered_sample_is_refused(stored) -> None:
    store, side = stored
    reference_sample(store, "m", "ab12", side, ["x"], 400)
    (info,) = store.list("m/monitoring/")
    store.write(info.key, b"something else")
    with pytest.raises(IntegrityError, match="was altered"):
        reference_sample(store, "m", "ab12", side, ["x"], 400)


def test_fewer_rows_than_wanted_are_all_taken(stored) -> None:
    store, side = stored
    assert reference_sample(store, "m", "ab12", side, ["x"], 10_000).num_rows == 4_007


def test_rows_are_chosen_evenly_over_row_groups_in_their_order(tmp_path) -> None:
    num_rows = 2 * ROW_GROUP_ROWS + 1_000
    pq.write_table(pa.table({"x": np.arange(num_rows)}), tmp_path / "rows.parquet", row_group_size=ROW_GROUP_ROWS)
    chosen = sample_rows(tmp_path / "rows.parquet", ["x"], 2_000, "seed")["x"].to_numpy()
    assert (np.diff(chosen) > 0).all()
    assert chosen.size == 2_000
    assert abs(chosen.mean() / num_rows - 0.5) < 0.03
    again = sample_rows(tmp_path / "rows.parquet", ["x"], 2_000, "another")["x"].to_numpy()
    assert set(again) != set(chosen)


def test_an_empty_file_gives_an_empty_sample(tmp_path) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "rows.parquet")
    assert sample_rows(tmp_path / "rows.parquet", ["x"], 10, "seed").num_rows == 0
