"""What every store promises, held against each kind."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreError, UsageError
from pipelines.store import Store

CALLERS = 16


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000], ids=["empty", "one byte", "1.3 MB"])
def test_what_is_written_is_read_back(store: Store, data: bytes) -> None:
    info = store.write("model/part/one.bin", data)
    assert store.read("model/part/one.bin") == data
    assert (info.key, info.size_bytes) == ("model/part/one.bin", len(data))


def test_unusual_keys_are_kept_as_they_are(store: Store) -> None:
    keys = [
        "a",
        "a.b",
        "..a",
        "-",
        "x=1/y=2",
        "me@home:8080/a+b",
        "+/=",
        "_/.hidden",
        "a" * 255,
        "/".join(["b" * 99] * 9),
    ]
    for key in keys:
        store.write(key, key.encode())
    assert [info.key for info in store.list()] == sorted(keys)
    for key in keys:
        assert store.read(key) == key.encode()
        with store.fetch(key) as path:
            assert path.read_bytes() == key.encode()


def test_a_key_that_could_leave_the_store_is_refused_by_every_method(store: Store, tmp_path: Path) -> None:
    calls: list[Callable[[str], object]] = [
        store.read,
        store.open,
        store.stat,
        store.delete,
        lambda key: store.write(key, b""),
        lambda key: store.put_if_absent(key, b""),
        lambda key: store.compare_and_swap(key, b"", "tag"),
        lambda key: store.upload(key, tmp_path / "file"),
        lambda key: store.fetch(key).__enter__(),
    ]
    (tmp_path / "file").write_bytes(b"")
    for key in [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        ".",
        "a b",
        "a\\b",
        "~locks/00",
        "ä",
        "a\n",
        "a" * 256,
        "a/" * 450 + "a",
    ]:
        for call in calls:
            with pytest.raises(UsageError, match="is not allowed"):
                call(key)
    assert list(store.list()) == []


def test_a_missing_object_is_named(store: Store) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.read("not/there"),
        lambda: store.open("not/there"),
        lambda: store.compare_and_swap("not/there", b"", "tag"),
        lambda: store.fetch("not/there").__enter__(),
    ]
    for call in calls:
        with pytest.raises(ObjectMissing, match="not/there"):
            call()
    assert store.stat("not/there") is None


def test_a_folder_is_no_object(store: Store) -> None:
    store.write("model/one", b"1")
    assert store.stat("model") is None
    store.delete("model")
    assert store.read("model/one") == b"1"
    with pytest.raises(ObjectMissing):
        store.read("model")


@pytest.mark.parametrize("store", ["memory", "file"], indirect=True)  # S3 knows no folders
def test_one_name_is_not_both_object_and_folder(store: Store) -> None:
    store.write("model/one", b"1")
    for write in (store.write, store.put_if_absent):
        for key in ("model", "model/one/more", "model/one/more/still"):
            with pytest.raises(StoreError, match=f"Cannot write object '{key}'") as caught:
                write(key, b"2")
            assert not isinstance(caught.value, ObjectExists)
    assert [info.key for info in store.list()] == ["model/one"]


def test_stat_and_list_and_write_say_the_same(store: Store) -> None:
    written = store.write("model/one", b"12345")
    assert store.stat("model/one") == written
    assert list(store.list("model/")) == [written]


def test_a_tag_changes_with_the_bytes_even_when_their_number_does_not(store: Store) -> None:
    tags = {store.write("model/one", bytes([number])).tag for number in range(50)}
    assert len(tags) == 50


def test_write_replaces(store: Store) -> None:
    store.write("model/one", b"first, and longer")
    store.write("model/one", b"second")
    assert store.read("model/one") == b"second"
    assert len(list(store.list())) == 1


def test_put_if_absent_puts_once(store: Store) -> None:
    info = store.put_if_absent("model/one", b"first")
    with pytest.raises(ObjectExists, match="model/one"):
        store.put_if_absent("model/one", b"second")
    assert store.read("model/one") == b"first"
    assert store.stat("model/one") == info
    store.delete("model/one")
    store.put_if_absent("model/one", b"third")


def test_compare_and_swap_needs_the_tag_of_what_is_there(store: Store) -> None:
    first = store.write("model/one", b"first")
    second = store.compare_and_swap("model/one", b"second", first.tag)
    with pytest.raises(ObjectChanged, match="model/one"):
        store.compare_and_swap("model/one", b"third", first.tag)
    assert store.read("model/one") == b"second"
    assert store.stat("model/one") == second


def test_a_stream_reads_seeks_and_ends(store: Store) -> None:
    data = os.urandom(9_000_000)  # more than a store reads ahead, twice
    store.write("model/one", data)
    with store.open("model/one") as stream:
        assert stream.seekable()
        assert stream.read(10) == data[:10]
        assert stream.seek(-10, io.SEEK_END) == len(data) - 10
        assert stream.read(100) == data[-10:]
        assert stream.read(1) == b""
        stream.seek(4_000_000)
        assert stream.read(1_000_000) == data[4_000_000:5_000_000]
        stream.seek(5, io.SEEK_CUR)
        assert stream.tell() == 5_000_005
        assert stream.read() == data[5_000_005:]
        assert stream.tell() == len(data)
        assert stream.seek(len(data) + 5) == len(data) + 5
        assert stream.read() == b""


def test_an_empty_object_streams(store: Store) -> None:
    store.write("model/one", b"")
    with store.open("model/one") as stream:
        assert stream.read() == b""


def test_arrow_reads_parquet_from_a_stream(store: Store) -> None:
    table = pa.table({"x": list(range(10_000)), "y": [f"row {i}" for i in range(10_000)]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=1000)
    store.write("model/one.parquet", buffer.getvalue())
    with store.open("model/one.parquet") as stream:
        assert pq.ParquetFile(stream).read_row_group(3).equals(table.slice(3000, 1000))


def test_a_stream_never_mixes_two_versions(store: Store) -> None:
    old, new = b"o" * 9_000_000, b"n" * 9_000_000
    store.write("model/one", old)
    with store.open("model/one") as stream:
        assert stream.read(10) == old[:10]
        store.write("model/one", new)
        try:
            assert set(stream.read()) == {ord("o")}
        except ObjectChanged as error:
            assert "model/one" in str(error)  # noqa: PT017


def test_upload_and_fetch_carry_a_large_file(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(os.urandom(12_345_678))
    info = store.upload("model/large.bin", local)
    assert info == store.stat("model/large.bin")
    assert info.size_bytes == 12_345_678
    with store.fetch("model/large.bin") as path:
        assert path.suffix == ".bin"
        assert path.stat().st_mode & 0o222 == 0
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(local.read_bytes()).digest()


def test_upload_replaces_and_keeps_its_own_copy(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"new")
    store.write("model/one", b"old")
    store.upload("model/one", local)
    local.write_bytes(b"changed later")
    assert store.read("model/one") == b"new"


def test_upload_of_no_file_is_refused(store: Store, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match="no such file"):
            store.upload("model/one", path)
    assert store.stat("model/one") is None


def test_a_fetched_copy_does_not_outlive_its_use(store: Store) -> None:
    store.write("model/one.bin", b"1")
    with store.fetch("model/one.bin") as path:
        in_store = path.as_uri().startswith(store.root)
    assert path.exists() == in_store  # a folder gives the object's own file


def test_a_fetched_copy_is_removed_after_an_error(store: Store) -> None:
    store.write("model/one.bin", b"1")
    with pytest.raises(ZeroDivisionError), store.fetch("model/one.bin") as path:
        raise ZeroDivisionError
    assert path.exists() == path.as_uri().startswith(store.root)


def test_list_is_ordered_by_key_and_takes_any_beginning(store: Store) -> None:
    keys = ["a/b/c", "a/b-c", "a/b.c", "a-b", "a/b0", "a0", "b", "a/b/a/d", "a/c/x/y/z"]
    for key in keys:
        store.write(key, b"")
    for prefix in ("", "a", "a/", "a/b", "a/b/", "a/b/a/d", "a/c/x", "a-", "c", "a/b/c/", "/", "../", "~", "a//b"):
        found = [info.key for info in store.list(prefix)]
        assert found == sorted(key for key in keys if key.startswith(prefix)), prefix


def test_a_listing_of_more_than_a_megabyte_is_whole(store: Store) -> None:
    long = "/".join(["n" * 220] * 4)
    keys = [f"model/{long}/{number:04d}" for number in range(1201)]  # S3 answers 1000 at a time
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda key: store.write(key, key[-4:].encode()), keys))
    assert [info.key for info in store.list("model/nnn")] == keys


def test_delete_removes_and_repeats(store: Store) -> None:
    store.write("model/one", b"1")
    store.delete("model/one")
    store.delete("model/one")
    assert store.stat("model/one") is None
    assert list(store.list()) == []


def test_of_many_put_if_absent_exactly_one_wins(store: Store) -> None:
    for number in range(2):  # SeaweedFS makes losers of one key wait for seconds
        key = f"ledger/{number:08d}.json"
        won, lost = race(lambda caller, key=key: store.put_if_absent(key, b"%d" % caller), ObjectExists)
        assert (len(won), len(lost)) == (1, CALLERS - 1)
        assert store.read(key) == b"%d" % won[0]


def test_of_many_compare_and_swap_exactly_one_wins(store: Store) -> None:
    tag = store.write("model/current.json", b"start").tag
    for _ in range(2):
        won, lost = race(
            lambda caller, tag=tag: store.compare_and_swap("model/current.json", os.urandom(8) + b"%d" % caller, tag),
            ObjectChanged,
        )
        assert (len(won), len(lost)) == (1, CALLERS - 1)
        assert store.read("model/current.json")[8:] == b"%d" % won[0]
        tag = store.stat("model/current.json").tag


def test_a_reader_beside_writers_sees_only_whole_objects(store: Store) -> None:
    versions = [bytes([number]) * 300_000 for number in range(8)]
    store.write("model/one", versions[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(store.write, "model/one", version) for version in versions]
        while not all(write.done() for write in writes):
            assert store.read("model/one") in versions
        for write in writes:
            write.result()


def test_looking_and_listing_beside_deletions_does_not_fail(store: Store) -> None:
    keys = [f"model/{number}" for number in range(5)]
    store.write("model/stays", b"")

    def write_and_delete() -> None:
        for _ in range(30):
            for key in keys:
                store.write(key, b"1")
                store.delete(key)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(write_and_delete)
        while not work.done():
            assert "model/stays" in [info.key for info in store.list("model/")]
            for key in keys:
                store.stat(key)
        work.result()


def race(call: Callable[[int], object], losing: type[Exception]) -> tuple[list[int], list[int]]:
    """Call from `CALLERS` threads at once; return who won and who lost."""
    start = threading.Barrier(CALLERS)

    def one(caller: int) -> bool:
        start.wait()
        try:
            call(caller)
        except losing:
            return False
        return True

    with ThreadPoolExecutor(CALLERS) as pool:
        results = list(pool.map(one, range(CALLERS)))
    return [i for i, won in enumerate(results) if won], [i for i, won in enumerate(results) if not won]
