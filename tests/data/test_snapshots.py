"""A snapshot is read only as it was written, and training reads its own side and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.manifests import (
    ColumnType,
    HoldoutRule,
    Manifest,
    Proof,
    QualityCounts,
    Side,
    TargetDistribution,
    TrainingManifest,
)
from pipelines.data.snapshots import (
    manifest_key,
    read_holdout,
    read_manifest,
    read_training,
    read_training_batches,
    read_training_manifest,
    training_view,
    write_snapshot,
)
from pipelines.errors import DataError, HoldoutRefused, IntegrityError, ObjectMissing
from pipelines.records import Partition, SnapshotRef, Window, sha256_of
from pipelines.store import Store
from pipelines.store.memory import MemoryStore
from pipelines.store.scoped import ScopedStore

TRAIN = {
    "2013-01": pa.table({"x": pa.array([1, 2, 3], pa.int32()), "y": ["a", "b", None]}),
    "2013-02": pa.table({"x": [4.5, None], "y": pa.nulls(2)}),
}
HOLDOUT = {"2013-03": pa.table({"x": [9.0], "y": ["held out"]})}
ROWS = {"x": [1.0, 2.0, 3.0, 4.5, None], "y": ["a", "b", None, None, None]}


@dataclass(frozen=True)
class Written:
    store: Store
    manifest: Manifest
    reference: SnapshotRef


def side(store: Store, folder: str, tables: dict[str, pa.Table]) -> Side:
    partitions = []
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        data = sink.getvalue().to_pybytes()
        key = f"rain/{folder}/{name}/{sha256_of(data)}.parquet"
        store.write(key, data)
        partitions.append(
            Partition(name=name, key=key, content_sha256=sha256_of(data), num_rows=table.num_rows, size_bytes=len(data))
        )
    target = TargetDistribution(column="y", classes={"a": 1})
    num_rows = sum(table.num_rows for table in tables.values())
    return Side(partitions=tuple(partitions), profiles=(), num_rows=num_rows, target=target)


@pytest.fixture
def written() -> Written:
    store = MemoryStore()
    columns = (ColumnType(name="x", type="double"), ColumnType(name="y", type="string"))
    training = TrainingManifest(
        model="rain",
        window=Window(),
        columns=columns,
        time_column=None,
        key_columns=("x",),
        train=side(store, "train", TRAIN),
    )
    manifest = Manifest(
        training=training,
        source={"type": "files"},
        lineage=(),
        rule=HoldoutRule(by="key", columns=("x",), share=0.2, salt="tandem"),
        holdout=side(store, "holdout", HOLDOUT),
        proof=Proof(num_rows_train=5, num_rows_holdout=1, misplaced_rows=0, overlap=0),
        quality=QualityCounts(num_rows_in=6, num_rows_bad=0, num_checks=0, warnings=(), report_key="r.html"),
    )
    return Written(store, manifest, write_snapshot(store, manifest))


def test_what_was_written_is_read_again(written: Written) -> None:
    assert read_manifest(written.store, "rain", written.reference.snapshot_id) == written.manifest
    assert read_training_manifest(written.store, written.reference) == written.manifest.training


def test_the_id_is_the_hash_of_the_whole_manifest_and_the_reference_knows_trainings_part(written: Written) -> None:
    whole = written.store.read(manifest_key("rain", written.reference.snapshot_id))
    assert hashlib.sha256(whole).hexdigest() == written.reference.snapshot_id
    part = written.store.read(written.reference.training_key)
    assert hashlib.sha256(part).hexdigest() == written.reference.training_sha256
    assert (written.reference.num_rows_train, written.reference.num_rows_holdout) == (5, 1)


def test_writing_it_again_changes_nothing(written: Written) -> None:
    before = [(info.key, info.tag) for info in written.store.list()]
    assert write_snapshot(written.store, written.manifest) == written.reference
    assert [(info.key, info.tag) for info in written.store.list()] == before


def test_rows_come_in_the_order_of_partitions_and_in_one_type(written: Written) -> None:
    assert read_training(written.store, written.reference).to_pydict() == ROWS
    assert read_holdout(written.store, "rain", written.reference.snapshot_id).to_pydict() == {
        "x": [9.0],
        "y": ["held out"],
    }


def test_only_the_columns_asked_for_are_read_in_their_order(written: Written) -> None:
    assert read_training(written.store, written.reference, ["y", "x"]).column_names == ["y", "x"]
    assert read_holdout(written.store, "rain", written.reference.snapshot_id, ["y"]).column_names == ["y"]


def test_batches_hold_the_same_rows_in_the_size_asked_for(written: Written) -> None:
    batches = list(read_training_batches(written.store, written.reference, ["y", "x"], num_rows=2))
    assert [batch.num_rows for batch in batches] == [2, 1, 2]
    whole = read_training(written.store, written.reference, ["y", "x"])
    assert pa.Table.from_batches(batches).combine_chunks().equals(whole)


def test_an_unknown_column_is_named(written: Written) -> None:
    for read in (read_training, lambda *given: list(read_training_batches(*given))):
        with pytest.raises(DataError, match=r"no column \['snow'\]: it has \['x', 'y'\]"):
            read(written.store, written.reference, ["snow"])


def test_training_reads_its_rows_through_a_view_that_holds_nothing_else(written: Written) -> None:
    view = training_view(written.store, written.reference)
    assert read_training(view, written.reference).to_pydict() == ROWS
    for key in [info.key for info in written.store.list()]:
        if key not in (
            written.reference.training_key,
            *(one.key for one in written.manifest.training.train.partitions),
        ):
            with pytest.raises(HoldoutRefused):
                view.read(key)


@pytest.mark.parametrize("prefixes", [["rain/train/"], ["rain/train", "rain/snapshots/{id}/training.json"]])
def test_no_view_of_the_training_folders_reaches_the_holdout_or_the_manifest(written: Written, prefixes) -> None:
    snapshot_id = written.reference.snapshot_id
    view = ScopedStore(written.store, [prefix.format(id=snapshot_id) for prefix in prefixes])
    with pytest.raises(HoldoutRefused):
        read_holdout(view, "rain", snapshot_id)
    with pytest.raises(HoldoutRefused):
        read_manifest(view, "rain", snapshot_id)


def test_what_training_may_read_does_not_name_a_held_out_object(written: Written) -> None:
    told = written.store.read(written.reference.training_key) + written.reference.to_bytes()
    for partition in written.manifest.holdout.partitions:
        assert partition.content_sha256.encode() not in told
        assert b"holdout/" not in told


def alter(store: Store, key: str) -> None:
    """Change one byte; that of a manifest so that it still is a manifest."""
    data = bytearray(store.read(key))
    place = data.index(b'"num_rows":5') + 11 if key.endswith(".json") else len(data) // 2
    data[place] ^= 1
    store.write(key, bytes(data))


@pytest.mark.parametrize("place", ["first partition", "last partition", "holdout", "training.json", "manifest.json"])
def test_one_altered_byte_is_named_and_refused_wherever_it_is(written: Written, place: str) -> None:
    store, reference, manifest = written.store, written.reference, written.manifest
    snapshot_id = reference.snapshot_id
    key, read = {
        "first partition": (manifest.training.train.partitions[0].key, lambda: read_training(store, reference)),
        "last partition": (
            manifest.training.train.partitions[-1].key,
            lambda: list(read_training_batches(store, reference)),
        ),
        "holdout": (manifest.holdout.partitions[0].key, lambda: read_holdout(store, "rain", snapshot_id)),
        "training.json": (reference.training_key, lambda: read_training(store, reference)),
        "manifest.json": (manifest_key("rain", snapshot_id), lambda: read_holdout(store, "rain", snapshot_id)),
    }[place]
    read()
    alter(store, key)
    with pytest.raises(IntegrityError, match=key):
        read()


def test_a_manifest_that_was_altered_is_not_written_over(written: Written) -> None:
    alter(written.store, manifest_key("rain", written.reference.snapshot_id))
    with pytest.raises(IntegrityError, match="it was altered"):
        write_snapshot(written.store, written.manifest)


def test_a_lost_file_is_named(written: Written) -> None:
    key = written.manifest.training.train.partitions[0].key
    written.store.delete(key)
    with pytest.raises(ObjectMissing, match=key):
        read_training(written.store, written.reference)


def test_a_snapshot_that_was_never_taken_is_named(written: Written) -> None:
    with pytest.raises(ObjectMissing, match=r"rain/snapshots/abc/manifest\.json"):
        read_manifest(written.store, "rain", "abc")
