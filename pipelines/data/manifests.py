"""The records a snapshot is made of: which bytes, cut by which rule, and the proof that the cut is clean."""

from __future__ import annotations

from typing import Any, Literal

from pipelines.records import Partition, Record, Window, sha256_of

FORMAT_VERSION = 1


class ColumnType(Record):
    """A column of the snapshot and its Arrow type, such as `timestamp[us]`."""

    name: str
    type: str


class HoldoutRule(Record):
    """The rule that puts a row on one side, complete: with the schema it decides each row alone.

    By time, rows from midnight of `first_holdout_day` on are held out. By key, those whose salted key hash is in the
    lowest `share` of all hashes. `columns` are the time column, or the key columns in order.
    """

    by: Literal["time", "key"]
    columns: tuple[str, ...]
    last_days: int | None = None
    first_holdout_day: str | None = None
    share: float | None = None
    salt: str | None = None

    def __str__(self) -> str:
        """Say the rule in words."""
        names = ", ".join(self.columns)
        if self.by == "time":
            return f"the last {self.last_days} days by {names}, from {self.first_holdout_day} on"
        return f"a share of {self.share:g} of keys by the hash of {names} with salt {self.salt!r}"


class Proof(Record):
    """What was counted on the written files of both sides; a snapshot exists only when both last counts are 0.

    `misplaced_rows` is the number of rows whose side, computed again, is the other one. By time, `overlap` counts
    training rows at or after the first held-out row; by key, keys that stand on both sides.
    """

    num_rows_train: int
    num_rows_holdout: int
    train_max: str | None = None
    holdout_min: str | None = None
    num_keys_train: int | None = None
    num_keys_holdout: int | None = None
    misplaced_rows: int
    overlap: int


class TargetDistribution(Record):
    """What the target looks like on one side: rows of each class, or five numbers of a quantity."""

    column: str
    classes: dict[str, int] | None = None
    quantity: dict[str, float] | None = None


class ProfileRef(Record):
    """A stored profile of one partition's rows on one side."""

    name: str
    key: str
    profile_sha256: str


class Side(Record):
    """All that is on one side of the cut, partitions in order of name."""

    partitions: tuple[Partition, ...]
    profiles: tuple[ProfileRef, ...]
    num_rows: int
    target: TargetDistribution | None

    @property
    def content_sha256(self) -> str:
        """The hash of the rows on this side: of the partitions' own hashes, in order."""
        return sha256_of([partition.content_sha256 for partition in self.partitions])


class TrainingManifest(Record):
    """What training code may know of a snapshot: its own side, and no more."""

    version: int = FORMAT_VERSION
    model: str
    window: Window
    columns: tuple[ColumnType, ...]
    time_column: str | None
    key_columns: tuple[str, ...]
    train: Side


class Lineage(Record):
    """From a partition as it came in, over what it was prepared to, to the two files it was cut into."""

    name: str
    raw_sha256: str | None
    prepared_sha256: str | None = None
    clean_sha256: str
    train_sha256: str | None
    holdout_sha256: str | None
    num_rows: int


class QualityCounts(Record):
    """What validation found in the rows this snapshot was taken from."""

    num_rows_in: int
    num_rows_bad: int
    num_checks: int
    warnings: tuple[str, ...]
    report_key: str


class Manifest(Record):
    """A whole snapshot. Its id is the SHA-256 of its canonical JSON."""

    training: TrainingManifest
    source: dict[str, Any]
    lineage: tuple[Lineage, ...]
    rule: HoldoutRule
    holdout: Side
    proof: Proof
    quality: QualityCounts
