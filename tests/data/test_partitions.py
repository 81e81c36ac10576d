from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.partitions import read_current, store_partition, write_partitions
from pipelines.errors import DataError, IntegrityError, StoreError
from pipelines.records import Ingested, PartitionChange, Window
from pipelines.store import Store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import file_sha256

TIMES = [datetime(2013, month, day) for month in (1, 2) for day in (1, 2, 3)]


def ingest(
    store: Store, delays: list[float | None], times: list[datetime | None] | None = None, window: Window | None = None
) -> Ingested:
    rows = pa.table({"time": pa.array(times or TIMES, pa.timestamp("us")), "delay": pa.array(delays, pa.float64())})
    return write_partitions(
        store,
        "flights",
        rows.to_reader(),
        source="a table",
        time_column="time",
        by="month",
        window=window or Window(),
    )


def keys(store: Store) -> list[str]:
    return [info.key for info in store.list()]


def test_a_partition_is_named_by_the_hash_of_its_bytes() -> None:
    store = MemoryStore()
    january, february = ingest(store, [1, 2, 3, 4, 5, 6]).partitions

    for partition, delays in ((january, [1, 2, 3]), (february, [4, 5, 6])):
        data = store.read(partition.key)
        assert partition.key == f"flights/partitions/{partition.name}/{hashlib.sha256(data).hexdigest()}.parquet"
        assert (partition.content_sha256, partition.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert pq.read_table(pa.BufferReader(data))["delay"].to_pylist() == delays
        assert partition.num_rows == 3
    assert [january.name, february.name] == ["2013-01", "2013-02"]


def test_a_file_is_stored_under_its_hash_and_makes_nothing_current(tmp_path: Path) -> None:
    store, path = MemoryStore(), tmp_path / "rows.parquet"
    pq.write_table(pa.table({"delay": [1.0, 2.0]}), path)
    partition = store_partition(store, "flights/clean/2013-01", "2013-01", path)

    assert store_partition(store, "flights/clean/2013-01", "2013-01", path) == partition
    assert keys(store) == [f"flights/clean/2013-01/{file_sha256(path)}.parquet"] == [partition.key]
    assert (partition.name, partition.num_rows, partition.size_bytes) == ("2013-01", 2, path.stat().st_size)
    assert read_current(store, "flights", "2013-01") is None


def test_the_same_rows_twice_make_one_copy_and_the_same_record() -> None:
    store = MemoryStore()
    first = ingest(store, [1, 2, 3, 4, 5, 6])
    stored = keys(store)

    assert ingest(store, [1, 2, 3, 4, 5, 6]) == first
    assert keys(store) == stored
    assert first.new == ("2013-01", "2013-02")


def test_a_changed_past_partition_is_named_and_becomes_current() -> None:
    store = MemoryStore()
    before = ingest(store, [1, 2, 3, 4, 5, 6])
    after = ingest(store, [1, 2, 3, 4, 5, 7])
    change = PartitionChange(
        name="2013-02",
        before_sha256=before.partitions[1].content_sha256,
        after_sha256=after.partitions[1].content_sha256,
    )
    current = read_current(store, "flights", "2013-02")

    assert (after.new, after.changed) == ((), (change,))
    assert after.partitions[0] == before.partitions[0]
    assert current is not None
    assert (current.partition, current.history) == (after.partitions[1], (change.before_sha256,))
    assert store.stat(before.partitions[1].key) is not None


def test_the_change_is_still_known_when_the_ingest_is_run_again() -> None:
    store = MemoryStore()
    ingest(store, [1, 2, 3, 4, 5, 6])
    after = ingest(store, [1, 2, 3, 4, 5, 7])

    assert ingest(store, [1, 2, 3, 4, 5, 7]) == after


def test_a_content_that_comes_back_is_a_change_too() -> None:
    store = MemoryStore()
    first = ingest(store, [1, 2, 3, 4, 5, 6])
    second = ingest(store, [1, 2, 3, 4, 5, 7])
    third = ingest(store, [1, 2, 3, 4, 5, 6])

    assert third.partitions == first.partitions
    assert [(change.before_sha256, change.after_sha256) for change in third.changed] == [
        (second.partitions[1].content_sha256, first.partitions[1].content_sha256)
    ]


def test_a_wider_window_tells_only_of_what_it_adds() -> None:
    store = MemoryStore()
    january = ingest(store, [1, 2, 3], TIMES[:3], Window(end="2013-02-01"))
    both = ingest(store, [1, 2, 3, 4, 5, 6], window=Window(end="2013-03-01"))

    assert both.partitions[0] == january.partitions[0]
    assert (both.new, both.changed) == (("2013-02",), ())


def test_half_a_month_is_no_change_of_the_month() -> None:
    store = MemoryStore()
    ingest(store, [1, 2, 3], TIMES[:3])
    half = ingest(store, [2, 3], TIMES[1:3], Window(start="2013-01-02"))

    assert (half.new, half.changed) == (("2013-01-02--2013-02-01",), ())


def test_rows_without_a_time_are_kept_in_a_partition_of_their_own() -> None:
    store = MemoryStore()
    record = ingest(store, [1, 2, 3, 4, 5, 6], [None, *TIMES[1:]])

    assert [(partition.name, partition.num_rows) for partition in record.partitions] == [
        ("2013-01", 2),
        ("2013-02", 3),
        ("undated", 1),
    ]
    assert record.num_rows == 6


def test_the_same_rows_from_another_writer_are_no_change(tmp_path: Path) -> None:
    store = MemoryStore()
    partition = ingest(store, [1, 2, None], TIMES[:3]).partitions[0]
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(pa.BufferReader(store.read(partition.key))), other, compression="gzip")
    old = partition.model_copy(
        update={
            "content_sha256": file_sha256(other),
            "key": f"flights/partitions/2013-01/{file_sha256(other)}.parquet",
            "size_bytes": other.stat().st_size,
        }
    )
    current = read_current(store, "flights", "2013-01")
    assert current is not None
    store.delete(partition.key)
    store.upload(old.key, other)
    store.write("flights/partitions/2013-01/current.json", current.model_copy(update={"partition": old}).to_bytes())

    again = ingest(store, [1, 2, None], TIMES[:3])

    assert (again.partitions, again.changed) == ((old,), ())
    assert ingest(store, [1, 2, 3], TIMES[:3]).changed[0].before_sha256 == old.content_sha256


def test_a_stored_partition_that_was_altered_is_named_when_it_is_compared() -> None:
    store = MemoryStore()
    partition = ingest(store, [1, 2, 3], TIMES[:3]).partitions[0]
    data = bytearray(store.read(partition.key))
    data[10] ^= 1
    store.write(partition.key, bytes(data))

    with pytest.raises(IntegrityError, match=partition.key):
        ingest(store, [1, 2, 4], TIMES[:3])


def test_a_partition_whose_object_is_gone_is_stored_again() -> None:
    store = MemoryStore()
    first = ingest(store, [1, 2, 3], TIMES[:3])
    store.delete(first.partitions[0].key)

    assert ingest(store, [1, 2, 3], TIMES[:3]) == first
    assert store.stat(first.partitions[0].key) is not None


def test_a_source_that_fails_in_the_middle_leaves_nothing() -> None:
    store = MemoryStore()

    def batches() -> object:
        yield pa.record_batch({"time": TIMES})
        raise DataError("The second batch is broken.")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"time": pa.timestamp("us")}), batches())

    with pytest.raises(DataError, match="second batch"):
        write_partitions(store, "flights", reader, source="", time_column="time", by="month", window=Window())
    assert keys(store) == []


def test_ingests_at_the_same_time_agree_and_keep_every_content() -> None:
    store = MemoryStore()
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda number: ingest(store, [number % 4, 2, 3], TIMES[:3]), range(8)))
    current = read_current(store, "flights", "2013-01")

    assert current is not None
    assert len({record.partitions for record in records}) == 4
    assert {current.partition.content_sha256, *current.history} == {
        record.partitions[0].content_sha256 for record in records
    }
    assert len([key for key in keys(store) if key.endswith(".parquet")]) == 4


def test_a_scratch_folder_without_room_is_a_fault_that_says_so() -> None:
    store = MemoryStore()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, hard))
    try:
        with pytest.raises(StoreError, match=r"scratch folder .* cannot take the rows: .*set TMPDIR"):
            ingest(store, [1, 2, 3], TIMES[:3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keys(store) == []


KILLED_AT_A_WRITE = """
import os, runpy, signal, sys
from pathlib import Path
from pipelines.store.files import FileStore

class Deadly(FileStore):
    left = 0

    def _live(self):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def upload(self, key, path):
        self._live()
        info = super().upload(key, path)
        self._live()
        return info

    def put_if_absent(self, key, data):
        self._live()
        return super().put_if_absent(key, data)

    def compare_and_swap(self, key, data, tag):
        self._live()
        return super().compare_and_swap(key, data, tag)

ingest = runpy.run_path(sys.argv[1])["ingest"]
root = Path(sys.argv[2])
for number in range(int(sys.argv[3])):
    child = os.fork()
    if not child:
        store = Deadly(root / str(number))
        store.left = 1000
        ingest(store, [1, 2, 3, 4, 5, 6])
        store.left = number
        ingest(store, [1, 2, 3.5, 4, 5, 6.5])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_an_ingest_that_is_killed_anywhere_ends_the_same_when_it_is_run_again(tmp_path: Path) -> None:
    expected_store = FileStore(tmp_path / "expected")
    ingest(expected_store, [1, 2, 3, 4, 5, 6])
    expected = ingest(expected_store, [1, 2, 3.5, 4, 5, 6.5])
    num_writes = 6  # two uploads that may die before or after, two swaps

    command = [sys.executable, "-c", KILLED_AT_A_WRITE, __file__, str(tmp_path), str(num_writes + 1)]
    exits = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout.split()

    assert exits == [str(-signal.SIGKILL)] * num_writes + ["0"]
    assert [change.name for change in expected.changed] == ["2013-01", "2013-02"]
    for number in range(num_writes + 1):
        store = FileStore(tmp_path / str(number))
        assert ingest(store, [1, 2, 3.5, 4, 5, 6.5]) == expected
        assert {key: store.read(key) for key in keys(store)} == {
            key: expected_store.read(key) for key in keys(expected_store)
        }
