"""Keep a partition's profile beside its file, so that it is computed once and not in every snapshot again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pipelines.data.profiles import FORMAT_VERSION, Profile
from pipelines.data.profiling import profile_parquet
from pipelines.records import Partition
from pipelines.store import Store
from pipelines.store.verified import fetch_verified, put_same, read_record


class Reading(Protocol):
    """How a model reads rows, where it reads something that is no column of theirs: the questions of conversations."""

    @property
    def identity(self) -> str:
        """The hash of all that `profile` hangs on besides the rows."""
        ...

    def profile(self, path: Path) -> Profile:
        """Return the profile of what is read in a Parquet file's rows, under the names of the columns it is from."""
        ...


def store_profile(store: Store, partition: Partition, path: Path) -> tuple[Profile, str]:
    """Return the profile of `partition`, whose rows are in `path`, and its key. A stored one is used again.

    The key carries the hash of the rows, the format version and the hash of the profile itself.
    """
    return _kept(store, f"{_stem(partition)}.profile{FORMAT_VERSION}.", lambda: profile_parquet(path))


def store_reading(store: Store, partition: Partition, reading: Reading) -> Profile:
    """Return the profile of what is read in a partition's rows; it is stored beside that of its columns.

    Raises:
        DataError: If nothing can be read in the rows.
        ObjectMissing: If the partition is gone, and the profile is not stored.
        IntegrityError: If the partition or the profile is not what was written.
    """

    def read() -> Profile:
        with fetch_verified(store, partition.key, partition.content_sha256) as path:
            return reading.profile(path)

    return _kept(store, f"{_stem(partition)}.reading{FORMAT_VERSION}-{reading.identity[:16]}.", read)[0]


def _stem(partition: Partition) -> str:
    return partition.key.removesuffix(".parquet")


def _kept(store: Store, prefix: str, make: Callable[[], Profile]) -> tuple[Profile, str]:
    for info in store.list(prefix):
        sha256 = info.key.removeprefix(prefix).removesuffix(".json")
        return read_record(store, info.key, Profile, sha256), info.key
    profile = make()
    key = f"{prefix}{profile.sha256}.json"
    put_same(store, key, profile.to_bytes())
    return profile, key
