"""Say what new rows are compared with: the champion's training rows, all or those of the same season.

Only profiles of the training partitions are read, never their rows, unless a profile is gone or of an older format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from pipelines.data.manifests import ProfileRef, Side
from pipelines.data.profile_store import Reading, store_profile, store_reading
from pipelines.data.profiles import FORMAT_VERSION, Profile, merge_profiles, with_columns
from pipelines.errors import DataError, ObjectMissing
from pipelines.monitoring.column_drift import looks_at
from pipelines.records import Partition, Record, sha256_of
from pipelines.spec.source import PartitionBy
from pipelines.store import Store
from pipelines.store.verified import fetch_verified, put_same, read_record

ENOUGH_ROWS = (
    1_000  # two such samples of the same are .04 apart by chance on average, half the smallest distance shipped
)

REFERENCE_VERSION = 2  # raise it when the same profiles give another reference

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class Reference(Record):
    """What is compared with: its profile, the training partitions in it, how far these are from each other, in words.

    `usual` is the answer of `usual_distances` over the partitions.
    """

    profile: Profile
    names: tuple[str, ...]
    usual: dict[str, float]
    words: str


def read_profiles(store: Store, side: Side, reading: Reading | None = None) -> dict[str, Profile]:
    """Return the profile of each partition of one side of a snapshot, by the partition's name.

    One that is gone or of another format is computed from the partition's rows and stored again. What a model reads in
    the rows, where it reads no column as it is, takes the place of that column.

    Raises:
        ObjectMissing: If a profile and its partition are gone.
        IntegrityError: If a profile or a partition is not what was written.
    """
    partitions = {partition.name: partition for partition in side.partitions}
    profiles = {ref.name: _read_profile(store, ref, partitions[ref.name]) for ref in side.profiles}
    if reading is None:
        return profiles
    return {
        name: with_columns(profile, store_reading(store, partitions[name], reading).columns)
        for name, profile in profiles.items()
    }


def choose_reference(
    profiles: Mapping[str, Profile], window_name: str, by: PartitionBy, which: Literal["training", "season"]
) -> Reference:
    """Return what the rows of one window are compared with.

    `season` takes the training partitions of the same month in earlier years, or of the same weekday in earlier weeks,
    where they hold at least `ENOUGH_ROWS` rows; else all of them, as `training` does.

    Args:
        profiles: Those of the training partitions, by name.
        window_name: The name of the window's partition.
        by: Length of a partition.
        which: `training` or `season`.

    Raises:
        DataError: If there is no profile at all.
    """
    names, what = _choose({name: profile.num_rows for name, profile in profiles.items()}, window_name, by, which)
    return _reference([profiles[name] for name in names], names, what)


def stored_reference(
    store: Store,
    model: str,
    snapshot_id: str,
    side: Side,
    window_name: str,
    by: PartitionBy,
    which: Literal["training", "season"],
    reading: Reading | None = None,
) -> Reference:
    """Return what `choose_reference` does, made once for a snapshot and a season, and then read as one object.

    It is stored at `<model>/monitoring/reference/<snapshot id>.<which partitions, in words>.<its own hash>.json`.

    Args:
        store: Where the snapshot is, and where the reference goes.
        model: The model's name.
        snapshot_id: The champion's snapshot.
        side: Its training side.
        window_name: The name of the window's partition.
        by: Length of a partition.
        which: `training` or `season`.
        reading: How the model reads the rows, where it reads no column as it is.

    Raises:
        DataError: If there is no profile at all.
        ObjectMissing: If a profile and its partition are gone.
        IntegrityError: If anything read is not what was written.
    """
    refs = {ref.name: ref for ref in side.profiles}
    sizes = {partition.name: partition.num_rows for partition in side.partitions if partition.name in refs}
    names, what = _choose(sizes, window_name, by, which)
    read = [] if reading is None else [reading.identity]
    asked = sha256_of([FORMAT_VERSION, REFERENCE_VERSION, names, what, *read])[:16]
    prefix = f"{model}/monitoring/reference/{snapshot_id}.{asked}."
    for info in store.list(prefix):
        return read_record(store, info.key, Reference, info.key.removeprefix(prefix).removesuffix(".json"))
    chosen = side.model_copy(update={"profiles": tuple(refs[name] for name in names)})
    profiles = read_profiles(store, chosen, reading)
    reference = _reference([profiles[name] for name in names], names, what)
    put_same(store, f"{prefix}{reference.sha256}.json", reference.to_bytes())
    return reference


def usual_distances(profiles: Sequence[Profile], whole: Profile) -> dict[str, float]:
    """Return how far the farthest partition is from the others, for each look at a column; of a single one nothing.

    The day of the month tells one day from all others, and weather one month from the next: that is how they are, and
    no reason to look. Only what goes farther is drift. Partitions with fewer than `ENOUGH_ROWS` rows are left out.

    Args:
        profiles: One a partition.
        whole: All of them merged.
    """
    found: dict[str, float] = {}
    for profile in profiles:
        share = profile.num_rows / max(whole.num_rows, 1)
        if profile.num_rows < ENOUGH_ROWS or whole.num_rows - profile.num_rows < ENOUGH_ROWS:
            continue
        columns = {column.name: column for column in profile.columns}
        for column in whole.columns:
            for name, _, apart in looks_at(column, columns[column.name]):
                if apart is not None:  # the whole holds the part: from the others it is farther by this factor
                    found[name] = max(found.get(name, 0.0), min(apart.distance / (1 - share), 1.0))
    return found


def _read_profile(store: Store, ref: ProfileRef, partition: Partition) -> Profile:
    if f".profile{FORMAT_VERSION}." in ref.key:
        try:
            return read_record(store, ref.key, Profile, ref.profile_sha256)
        except ObjectMissing:
            pass  # its rows are still there, and the same rows give the same profile
    with fetch_verified(store, partition.key, partition.content_sha256) as path:
        return store_profile(store, partition, path)[0]


def _choose(
    sizes: Mapping[str, int], window_name: str, by: PartitionBy, which: Literal["training", "season"]
) -> tuple[list[str], tuple[str, str]]:
    """Return the partitions' names in order, and the words before and after their number and span."""
    if not sizes:
        raise DataError(
            "The champion's snapshot has no training profile: 0 found, at least 1 needed. No drift was told."
        )
    season = _same_season(sizes, window_name, by) if which == "season" else []
    num_rows, words = sum(sizes[name] for name in season), _season_words(window_name, by)
    if season and num_rows >= ENOUGH_ROWS:
        return season, (f"training rows of {words}", "")
    short = f" ({words}: {num_rows:,} rows, at least {ENOUGH_ROWS:,} are needed)" if words else ""
    return sorted(sizes), ("all training rows", short if which == "season" else "")


def _reference(profiles: Sequence[Profile], names: Sequence[str], what: tuple[str, str]) -> Reference:
    whole = merge_profiles(profiles)
    span = names[0] if len(names) == 1 else f"{len(names)} partitions from {names[0]} to {names[-1]}"
    words = f"{what[0]}: {whole.num_rows:,} rows, {span}{what[1]}"
    return Reference(profile=whole, names=tuple(names), usual=usual_distances(profiles, whole), words=words)


def _same_season(sizes: Mapping[str, int], window_name: str, by: PartitionBy) -> list[str]:
    if by == "month" and (here := _MONTH.match(window_name)):
        found = ((name, _MONTH.match(name)) for name in sorted(sizes))
        return [name for name, at in found if at and at[2] == here[2] and at[1] < here[1]]
    if by == "day" and (day := _day(window_name)):
        return [
            name for name in sorted(sizes) if (other := _day(name)) and other < day and other.weekday() == day.weekday()
        ]
    return []


def _season_words(window_name: str, by: PartitionBy) -> str:
    if by == "month" and (here := _MONTH.match(window_name)):
        return f"{date(int(here[1]), int(here[2]), 1):%B} in earlier years"
    if by == "day" and (day := _day(window_name)):
        return f"{day:%A}s in earlier weeks"
    return ""


def _day(name: str) -> date | None:
    found = _DAY.match(name)
    return date(int(found[1]), int(found[2]), int(found[3])) if found else None
