"""A folder of a store is a store of its own, that meets nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import ObjectChanged, ObjectExists, ObjectMissing, UsageError
from pipelines.store.memory import MemoryStore
from pipelines.store.nested import NestedStore


def test_the_same_key_inside_and_outside_is_two_objects() -> None:
    outer = MemoryStore()
    inner = NestedStore(outer, "model/replays/ab12")
    outer.write("model/one", b"outside")
    inner.write("model/one", b"inside")
    assert (outer.read("model/one"), inner.read("model/one")) == (b"outside", b"inside")
    assert outer.read("model/replays/ab12/model/one") == b"inside"
    inner.delete("model/one")
    assert [info.key for info in outer.list()] == ["model/one"]


def test_keys_are_told_as_they_are_inside() -> None:
    inner = NestedStore(MemoryStore(), "a/b")
    assert inner.write("c/1", b"x").key == "c/1"
    info = inner.stat("c/1")
    assert info is not None
    assert info.key == "c/1"
    assert [one.key for one in inner.list("c/")] == ["c/1"]
    assert [one.key for one in inner.list()] == ["c/1"]
    assert inner.stat("b/c/1") is None


def test_conditional_writes_hold_inside() -> None:
    inner = NestedStore(MemoryStore(), "a")
    tag = inner.put_if_absent("one", b"1").tag
    with pytest.raises(ObjectExists):
        inner.put_if_absent("one", b"2")
    assert inner.compare_and_swap("one", b"2", tag).key == "one"
    with pytest.raises(ObjectChanged):
        inner.compare_and_swap("one", b"3", tag)


def test_files_go_in_and_come_out(tmp_path: Path) -> None:
    inner = NestedStore(MemoryStore(), "a")
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    assert inner.upload("one", path).key == "one"
    with inner.fetch("one") as fetched:
        assert fetched.read_bytes() == b"bytes"
    with inner.open("one") as stream:
        assert stream.read() == b"bytes"


def test_nothing_outside_can_be_named() -> None:
    outer = MemoryStore()
    outer.write("secret", b"1")
    inner = NestedStore(outer, "a")
    with pytest.raises(UsageError):
        inner.read("../secret")
    with pytest.raises(ObjectMissing):
        inner.read("secret")
