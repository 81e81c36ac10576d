"""Keep a partition's profile beside its file, so that it is computed once and not in every snapshot again."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.profiles import FORMAT_VERSION, Profile
from pipelines.data.profiling import profile_parquet
from pipelines.records import Partition
from pipelines.store import Store
from pipelines.store.verified import put_same, read_record


def store_profile(store: Store, partition: Partition, path: Path) -> tuple[Profile, str]:
    """Return the profile of `partition`, whose rows are in `path`, and its key. A stored one is used again.

    The key carries the hash of the rows, the format version and the hash of the profile itself.
    """
    prefix = f"{partition.key.removesuffix('.parquet')}.profile{FORMAT_VERSION}."
    for info in store.list(prefix):
        sha256 = info.key.removeprefix(prefix).removesuffix(".json")
        return read_record(store, info.key, Profile, sha256), info.key
    profile = profile_parquet(path)
    key = f"{prefix}{profile.sha256}.json"
    put_same(store, key, profile.to_bytes())
    return profile, key
