from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import IntegrityError, ObjectMissing
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.trees import fetch_tree, store_tree


def test_a_model_comes_back_as_it_was_stored(tiny_model: Path) -> None:
    store = MemoryStore()
    key, sha256 = store_tree(store, "toy", tiny_model, "full", "b" * 64)
    assert key == f"toy/models/{sha256}/model.json"
    with fetch_tree(store, key, sha256) as folder:
        for path in tiny_model.iterdir():
            assert (folder / path.name).read_bytes() == path.read_bytes()


def test_storing_again_sends_nothing_again_and_gives_the_same_key(tiny_model: Path, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    first = store_tree(store, "toy", tiny_model, "full", "b" * 64)
    before = {info.key: info.tag for info in store.list("toy/models") if not info.key.endswith("model.json")}
    assert store_tree(store, "toy", tiny_model, "full", "b" * 64) == first
    assert before == {info.key: info.tag for info in store.list("toy/models") if info.key in before}


def fetch_all(store: MemoryStore, key: str, sha256: str) -> None:
    with fetch_tree(store, key, sha256):
        return


def test_one_altered_byte_of_the_weights_is_refused(tiny_model: Path) -> None:
    store = MemoryStore()
    key, sha256 = store_tree(store, "toy", tiny_model, "full", "b" * 64)
    weights = key.replace("model.json", "model.safetensors")
    data = bytearray(store.read(weights))
    data[-1] ^= 1
    store.write(weights, bytes(data))
    with pytest.raises(IntegrityError, match=r"model\.safetensors.* was altered"):
        fetch_all(store, key, sha256)
    store.delete(weights)
    with pytest.raises(ObjectMissing):
        fetch_all(store, key, sha256)
