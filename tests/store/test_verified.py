from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.records import RunRequest, Window, sha256_of
from pipelines.store import Store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import (
    fetch_verified,
    put_first,
    put_first_record,
    put_same,
    read_record,
    upload_once,
    write_record,
)

RECORD = RunRequest(note="Grüße", by="somebody", budget_seconds=1.5)


def test_a_record_is_kept_under_its_hash_and_read_back(store: Store) -> None:
    key = write_record(store, "model/requests/", RECORD)
    assert key == f"model/requests/{RECORD.sha256}.json"
    assert sha256_of(store.read(key)) == RECORD.sha256
    assert read_record(store, key, RunRequest) == RECORD
    assert read_record(store, key, RunRequest, RECORD.sha256) == RECORD


def test_a_record_can_be_written_again(store: Store) -> None:
    assert write_record(store, "model", RECORD) == write_record(store, "model", RECORD)
    assert len(list(store.list())) == 1


def test_a_record_altered_by_one_byte_is_named_and_refused() -> None:
    store = MemoryStore()
    key = write_record(store, "model", RECORD)
    store.write(key, altered(store.read(key)))
    for call in (
        lambda: read_record(store, key, RunRequest),
        lambda: read_record(store, key, RunRequest, RECORD.sha256),
        lambda: write_record(store, "model", RECORD),
    ):
        with pytest.raises(IntegrityError) as caught:
            call()
        assert key in str(caught.value)
        assert f"is {sha256_of(store.read(key))}, expected {RECORD.sha256}" in str(caught.value)


def test_of_those_who_put_something_the_first_counts_for_all(store: Store) -> None:
    assert [put_first(store, "model/choice", data) for data in (b"first", b"second", b"first")] == [b"first"] * 3
    others = RECORD.model_copy(update={"by": "another"})
    assert [put_first_record(store, "model/choice.json", one) for one in (RECORD, others, RECORD)] == [RECORD] * 3
    assert (store.read("model/choice"), store.read("model/choice.json")) == (b"first", RECORD.to_bytes())


def test_where_something_else_lies_no_record_is_taken_from_it() -> None:
    store = MemoryStore()
    store.write("model/choice.json", b"[]")
    with pytest.raises(IntegrityError, match=r"'model/choice\.json' .* is no RunRequest"):
        put_first_record(store, "model/choice.json", RECORD)


def test_a_key_that_names_its_content_holds_that_content_and_no_other(store: Store) -> None:
    for _ in range(2):
        put_same(store, f"model/{sha256_of(b'one')}", b"one")
    with pytest.raises(IntegrityError, match=f"is {sha256_of(b'one')}, expected {sha256_of(b'two')}"):
        put_same(store, f"model/{sha256_of(b'one')}", b"two")
    assert store.read(f"model/{sha256_of(b'one')}") == b"one"


def test_a_record_under_another_name_is_held_to_the_hash_it_is_asked_for_with() -> None:
    store = MemoryStore()
    store.write("model/current.json", RECORD.to_bytes())
    assert read_record(store, "model/current.json", RunRequest) == RECORD
    with pytest.raises(IntegrityError, match=r"model/current\.json"):
        read_record(store, "model/current.json", RunRequest, RunRequest().sha256)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"note": 1}', b"\xff", Window(start="2013").to_bytes()])
def test_what_is_no_such_record_is_named_and_refused(data: bytes) -> None:
    store = MemoryStore()
    store.write("model/current.json", data)
    with pytest.raises(IntegrityError, match=r"'model/current\.json' .* is no RunRequest"):
        read_record(store, "model/current.json", RunRequest)


def test_a_file_is_fetched_when_its_hash_fits(store: Store) -> None:
    data = bytes(3_000_000)
    store.write("model/one.parquet", data)
    with fetch_verified(store, "model/one.parquet", sha256_of(data)) as path:
        assert path.read_bytes() == data


def test_a_file_altered_by_one_byte_is_named_and_refused(store: Store) -> None:
    data = bytes(3_000_000)
    store.write("model/one.parquet", altered(data))
    entered = False
    with pytest.raises(IntegrityError) as caught, fetch_verified(store, "model/one.parquet", sha256_of(data)):
        entered = True
    assert not entered
    for part in ("model/one.parquet", store.root, sha256_of(data), sha256_of(altered(data))):
        assert part in str(caught.value)


def test_a_byte_altered_on_the_disk_is_noticed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write("model/one.parquet", b"12345678")
    file = tmp_path / "model" / "one.parquet"
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.seek(4)
        stream.write(b"X")
    with (
        pytest.raises(IntegrityError, match=r"model/one\.parquet"),
        fetch_verified(store, "model/one.parquet", sha256_of(b"12345678")),
    ):
        pass


def test_a_missing_file_is_missing_and_not_altered(store: Store) -> None:
    with pytest.raises(ObjectMissing), fetch_verified(store, "model/one", "0" * 64):
        pass
    with pytest.raises(ObjectMissing):
        read_record(store, "model/one", RunRequest)


def test_a_file_is_uploaded_once(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "one.parquet"
    local.write_bytes(b"first bytes")
    upload_once(store, "model/one.parquet", local)
    local.write_bytes(b"other bytes")  # of the same size: the key is what tells them apart
    upload_once(store, "model/one.parquet", local)
    assert store.read("model/one.parquet") == b"first bytes"


def test_half_a_file_in_the_store_is_replaced(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "one.parquet"
    local.write_bytes(b"all of its bytes")
    store.write("model/one.parquet", b"all of")
    upload_once(store, "model/one.parquet", local)
    assert store.read("model/one.parquet") == b"all of its bytes"


def altered(data: bytes) -> bytes:
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
