"""A read-only view of a part of a store: what training code is given, so that it cannot reach the holdout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NoReturn

from pipelines.errors import HoldoutRefused, StoreError
from pipelines.store.base import ObjectInfo, Store, check_key


class ScopedStore:
    """A store that shows only the named keys and what is in the named folders, and takes no writes.

    Reading anything else raises `HoldoutRefused`, whether it is there or not; any write raises `StoreError`.
    """

    def __init__(self, store: Store, prefixes: Sequence[str]) -> None:
        self.root = store.root
        self._store = store
        self._allowed = tuple(check_key(prefix.removesuffix("/")) for prefix in prefixes)

    def read(self, key: str) -> bytes:
        """Return the whole object."""
        return self._store.read(self._within(key))

    def open(self, key: str) -> BinaryIO:
        """Return a seekable stream of the object."""
        return self._store.open(self._within(key))

    def fetch(self, key: str) -> AbstractContextManager[Path]:
        """Give a local file with the object's bytes."""
        return self._store.fetch(self._within(key))

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        return self._store.stat(self._within(key))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, which must lie within what is shown."""
        self._require_within(prefix)
        return (info for info in self._store.list(prefix) if self._shows(info.key))

    def write(self, key: str, data: bytes) -> NoReturn:
        """Refuse."""
        self._refuse_write(key)

    def put_if_absent(self, key: str, data: bytes) -> NoReturn:
        """Refuse."""
        self._refuse_write(key)

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> NoReturn:
        """Refuse."""
        self._refuse_write(key)

    def upload(self, key: str, path: Path) -> NoReturn:
        """Refuse."""
        self._refuse_write(key)

    def delete(self, key: str) -> NoReturn:
        """Refuse."""
        self._refuse_write(key)

    def _within(self, key: str) -> str:
        self._require_within(check_key(key))
        return key

    def _require_within(self, key: str) -> None:
        if not self._shows(key):
            more = f" and {len(self._allowed) - 3} more" if len(self._allowed) > 3 else ""
            raise HoldoutRefused(
                f"Training may not read {key!r} in {self.root}: it is shown only "
                f"{', '.join(self._allowed[:3]) or 'nothing'}{more}. Nothing was read."
            )

    def _shows(self, key: str) -> bool:
        # 'm/train' shows 'm/train' and 'm/train/1' but not 'm/training': a folder, not a beginning of letters.
        return any(f"{key}/".startswith(f"{allowed}/") for allowed in self._allowed)

    def _refuse_write(self, key: str) -> NoReturn:
        raise StoreError(f"Cannot write {key!r} in {self.root}: this view is read-only. Nothing was written.")
