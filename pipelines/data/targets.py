"""Count what the target looks like on each side of a snapshot, and refuse a target that nothing can be learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.manifests import TargetDistribution
from pipelines.data.parquet import open_parquet
from pipelines.data.profiles import Profile
from pipelines.errors import DataError
from pipelines.spec.training import Task

LARGEST_NUM_CLASSES = 1_000
_SHARES = {"p05": 0.05, "median": 0.5, "p95": 0.95}


def class_distribution(paths: Sequence[Path], column: str) -> TargetDistribution:
    """Return the rows of each class in Parquet files, by the class as text.

    Raises:
        DataError: If there are more than `LARGEST_NUM_CLASSES` classes: the target is a quantity or an identifier.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        with open_parquet(path) as file:
            for batch in file.iter_batches(columns=[column]):
                values, found = _as_text(batch.column(0)).value_counts().flatten()
                counts.update(dict(zip(values.to_pylist(), found.to_pylist(), strict=True)))
                if len(counts) > LARGEST_NUM_CLASSES:
                    raise DataError(
                        f"Target {column!r} has more than {LARGEST_NUM_CLASSES} classes; it looks like a quantity. Set "
                        "'training.task: regression', or another target. No snapshot was taken."
                    )
    return TargetDistribution(column=column, classes=dict(sorted(counts.items())))


def quantity_distribution(profile: Profile, column: str) -> TargetDistribution:
    """Return mean, extremes and three quantiles of a number, in its unit. Raises `DataError` when it is no number."""
    found = profile.column(column)
    if found.number is None or found.family != "number" or found.number.mean is None:
        raise DataError(f"Target {column!r} is {found.family}; a regression needs numbers. No snapshot was taken.")
    number = found.number
    shares = {name: number.summary.quantile(share) for name, share in _SHARES.items()}
    extremes = {"minimum": number.minimum or 0.0, "mean": number.mean or 0.0, "maximum": number.maximum or 0.0}
    return TargetDistribution(column=column, quantity={**extremes, **shares})


def refuse_unlearnable(task: Task, train: TargetDistribution, holdout: TargetDistribution) -> None:
    """Raise `DataError` unless the training target varies, and a binary one has two classes in all."""
    if train.quantity is not None:
        if train.quantity["minimum"] == train.quantity["maximum"]:
            raise DataError(
                f"Target {train.column!r} is {train.quantity['mean']:g} in every training row: there is nothing to "
                "learn. No snapshot was taken."
            )
        return
    here, all_classes = train.classes or {}, sorted({*(train.classes or {}), *(holdout.classes or {})})
    if len(here) < 2:
        raise DataError(
            f"Target {train.column!r} has one class only in the training rows, {here}; at least 2 are needed. "
            "No snapshot was taken."
        )
    if task == "binary" and len(all_classes) != 2:
        raise DataError(
            f"Target {train.column!r} has {len(all_classes)} classes, {all_classes[:10]}; the task 'binary' needs 2. "
            "No snapshot was taken."
        )


def _as_text(values: pa.Array) -> pa.Array:
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return pc.cast(plain, pa.large_string())
