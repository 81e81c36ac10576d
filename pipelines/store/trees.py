"""Keep a model that is a folder of files in the store, named by the hash of the list of its files and their hashes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from pipelines.records import Record, sha256_of
from pipelines.store.base import Store
from pipelines.store.verified import fetch_verified, file_sha256, read_record, upload_once

MANIFEST = "model.json"
_MOST_TRANSFERS = 4


class TreeFile(Record):
    """One file; `path` is relative to the folder, with '/' between its names."""

    path: str
    content_sha256: str
    size_bytes: int


class Tree(Record):
    """All files of a model, in order of their paths. Its hash is the model's.

    `base_sha256` is the hash of the pretrained model that it was tuned from.
    """

    kind: Literal["full", "lora"]
    base_sha256: str
    files: tuple[TreeFile, ...]

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.size_bytes for file in self.files)


def list_files(folder: Path) -> tuple[TreeFile, ...]:
    """Return every file of a folder with its hash, in order of paths; hidden ones are left out."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return tuple(_tree_file(folder, path) for path in paths)


def tree_sha256(files: tuple[TreeFile, ...]) -> str:
    """Return the hash of a list of files, which any change to any of them changes."""
    return sha256_of([file.to_dict() for file in files])


def store_tree(
    store: Store, model: str, folder: Path, kind: Literal["full", "lora"], base_sha256: str
) -> tuple[str, str]:
    """Upload a folder and return the key and the hash of its manifest, which comes last: with it the model exists.

    Files that are in the store already are not sent again.

    Raises `StoreError`.
    """
    tree = Tree(kind=kind, base_sha256=base_sha256, files=list_files(folder))
    prefix = f"{model}/models/{tree.sha256}"
    with ThreadPoolExecutor(_MOST_TRANSFERS) as pool:
        list(pool.map(lambda file: upload_once(store, f"{prefix}/{file.path}", folder / file.path), tree.files))
    key = f"{prefix}/{MANIFEST}"
    store.write(key, tree.to_bytes())
    return key, tree.sha256


def read_tree(store: Store, key: str, sha256: str) -> Tree:
    """Return the manifest of a stored model. Raises `ObjectMissing`, `IntegrityError`."""
    return read_record(store, key, Tree, sha256)


@contextmanager
def fetch_tree(store: Store, key: str, sha256: str) -> Iterator[Path]:
    """Give a local folder with a stored model's files, each compared with its hash. Raises as `read_tree` does."""
    tree = read_tree(store, key, sha256)
    prefix = key.removesuffix(f"/{MANIFEST}")
    with tempfile.TemporaryDirectory(prefix="tandem-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        for file in tree.files:
            fetched = stack.enter_context(fetch_verified(store, f"{prefix}/{file.path}", file.content_sha256))
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(fetched)
        yield folder


def _tree_file(folder: Path, path: Path) -> TreeFile:
    return TreeFile(
        path=path.relative_to(folder).as_posix(), content_sha256=file_sha256(path), size_bytes=path.stat().st_size
    )
