from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import HoldoutRefused, ObjectMissing, StoreError, UsageError
from pipelines.store.memory import MemoryStore
from pipelines.store.scoped import ScopedStore

SHOWN = ["model/train", "model/snapshots/1/training.json"]


@pytest.fixture
def inner() -> MemoryStore:
    store = MemoryStore()
    for key in (
        "model/train/2013-01/ab.parquet",
        "model/train2/ab.parquet",
        "model/holdout/2013-01/cd.parquet",
        "model/snapshots/1/training.json",
        "model/snapshots/1/training.json.bak",
        "model/snapshots/1/manifest.json",
    ):
        store.write(key, key.encode())
    return store


@pytest.mark.parametrize("key", ["model/train/2013-01/ab.parquet", "model/snapshots/1/training.json"])
def test_what_is_shown_is_read_in_every_way(inner: MemoryStore, key: str) -> None:
    scoped = ScopedStore(inner, SHOWN)
    assert scoped.read(key) == key.encode()
    assert scoped.open(key).read() == key.encode()
    assert scoped.stat(key) == inner.stat(key)
    assert [info.key for info in scoped.list(key)][:1] == [key]
    with scoped.fetch(key) as path:
        assert path.read_bytes() == key.encode()


@pytest.mark.parametrize(
    "key",
    [
        "model/holdout/2013-01/cd.parquet",
        "model/holdout/not-there",
        "model/train2/ab.parquet",
        "model/snapshots/1/manifest.json",
        "model/snapshots/1/training.json.bak",
        "model",
    ],
)
def test_all_else_is_refused_in_every_way_whether_it_is_there_or_not(inner: MemoryStore, key: str) -> None:
    scoped = ScopedStore(inner, SHOWN)
    for call in (scoped.read, scoped.open, scoped.stat, scoped.list, scoped.fetch):
        with pytest.raises(HoldoutRefused, match=f"'{key}'"):
            call(key)


def test_a_listing_wider_than_what_is_shown_is_refused(inner: MemoryStore) -> None:
    scoped = ScopedStore(inner, SHOWN)
    assert [info.key for info in scoped.list("model/train/")] == ["model/train/2013-01/ab.parquet"]
    for prefix in ("", "model/", "model/tr", "model/holdout"):
        with pytest.raises(HoldoutRefused):
            list(scoped.list(prefix))


def test_a_folder_that_is_shown_does_not_list_its_neighbour(inner: MemoryStore) -> None:
    assert [info.key for info in ScopedStore(inner, SHOWN).list("model/train")] == ["model/train/2013-01/ab.parquet"]


def test_a_path_cannot_climb_out_of_what_is_shown(inner: MemoryStore) -> None:
    with pytest.raises(UsageError):
        ScopedStore(inner, SHOWN).read("model/train/../holdout/2013-01/cd.parquet")
    assert list(ScopedStore(inner, SHOWN).list("model/train/../holdout")) == []


def test_a_missing_object_within_what_is_shown_is_missing(inner: MemoryStore) -> None:
    with pytest.raises(ObjectMissing):
        ScopedStore(inner, SHOWN).read("model/train/none")


def test_nothing_shown_means_nothing_read(inner: MemoryStore) -> None:
    with pytest.raises(HoldoutRefused, match="only nothing"):
        ScopedStore(inner, []).read("model/train/2013-01/ab.parquet")


def test_every_write_is_refused(inner: MemoryStore, tmp_path: Path) -> None:
    scoped = ScopedStore(inner, SHOWN)
    before = list(inner.list())
    for call in (
        lambda: scoped.write("model/train/new", b""),
        lambda: scoped.put_if_absent("model/train/new", b""),
        lambda: scoped.compare_and_swap("model/train/2013-01/ab.parquet", b"", before[0].tag),
        lambda: scoped.upload("model/train/new", tmp_path),
        lambda: scoped.delete("model/train/2013-01/ab.parquet"),
    ):
        with pytest.raises(StoreError, match="read-only"):
            call()
    assert list(inner.list()) == before
