"""Freeze what one model is trained on: cut clean rows into training and holdout, prove it, name it by its hash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from pipelines.data.disjoint import prove_disjoint
from pipelines.data.manifests import (
    ColumnType,
    HoldoutRule,
    Lineage,
    Manifest,
    ProfileRef,
    QualityCounts,
    Side,
    TargetDistribution,
    TrainingManifest,
)
from pipelines.data.partitions import store_partition
from pipelines.data.profile_store import store_profile
from pipelines.data.profiles import Profile, merge_profiles
from pipelines.data.snapshots import write_snapshot
from pipelines.data.splits import Cut, cut, holdout_rule
from pipelines.data.surveys import Survey, survey
from pipelines.data.targets import class_distribution, quantity_distribution, refuse_unlearnable
from pipelines.errors import DataError
from pipelines.records import Partition, SnapshotRef, Validated
from pipelines.spec import ClassicSpec, LlmSpec, ModelSpec
from pipelines.spec.corpus import CONVERSATION_COLUMNS
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import fetch_verified

SideName = Literal["train", "holdout"]


def snapshot(context: Context, validated: Validated) -> SnapshotRef:
    """Cut, prove, store, and return the reference that training gets. The same input gives the same id on any machine.

    Raises:
        DataError: If the clean rows cannot be cut as the spec says, one side would be empty, or the target is missing
            in any row or does not vary.
        IntegrityError: If a clean partition is not the one that validation wrote, or the sides are not disjoint.
    """
    spec = context.spec
    clean = {partition.name: partition for partition in sorted(validated.partitions, key=lambda one: one.name)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-")))
        paths = {
            name: stack.enter_context(fetch_verified(context.store, one.key, one.content_sha256))
            for name, one in clean.items()
        }
        time_column = spec.source.time_column if spec.holdout.by == "time" else None
        found = survey(paths, _named_columns(spec), _target_column(spec), time_column)
        rule = holdout_rule(spec.holdout, spec.holdout_key_columns, time_column, found)
        cuts = [cut(name, path, rule, folder) for name, path in paths.items()]
        _refuse_empty_side(cuts, rule, found)
        proof = prove_disjoint(cuts, rule, folder)
        train = _store_side(context.store, spec, cuts, "train")
        holdout = _store_side(context.store, spec, cuts, "holdout")
    if isinstance(spec, ClassicSpec) and train.target is not None and holdout.target is not None:
        refuse_unlearnable(spec.training.task, train.target, holdout.target)
    manifest = Manifest(
        training=_training_manifest(spec, validated, found, train),
        source=spec.source.model_dump(mode="json"),
        lineage=_lineage(validated, clean, train, holdout),
        rule=rule,
        holdout=holdout,
        proof=proof,
        quality=_quality(validated),
    )
    return write_snapshot(context.store, manifest)


def _named_columns(spec: ModelSpec) -> list[str]:
    made = CONVERSATION_COLUMNS if isinstance(spec, LlmSpec) else spec.source_columns
    return list(dict.fromkeys([*made, *spec.holdout_key_columns, *spec.gates.slices]))


def _target_column(spec: ModelSpec) -> str | None:
    return spec.training.target if isinstance(spec, ClassicSpec) else None


def _refuse_empty_side(cuts: Sequence[Cut], rule: HoldoutRule, found: Survey) -> None:
    total = sum(found.num_rows.values())
    num_train = sum(pq.read_metadata(one.train).num_rows for one in cuts if one.train is not None)
    if num_train in (0, total):
        side = "training" if num_train == 0 else "holdout"
        raise DataError(
            f"The {side} side would be empty: {num_train} training and {total - num_train} holdout rows of {total}, "
            f"with the holdout {rule}. Widen the data window or change 'holdout' in the spec. No snapshot was taken."
        )


def _store_side(store: Store, spec: ModelSpec, cuts: Sequence[Cut], side: SideName) -> Side:
    files = {one.name: path for one in cuts if (path := getattr(one, side)) is not None}
    partitions = tuple(store_partition(store, f"{spec.name}/{side}/{name}", name, path) for name, path in files.items())
    profiles, references = [], []
    for partition in partitions:
        profile, key = store_profile(store, partition, files[partition.name])
        profiles.append(profile)
        references.append(ProfileRef(name=partition.name, key=key, profile_sha256=profile.sha256))
    return Side(
        partitions=partitions,
        profiles=tuple(references),
        num_rows=sum(partition.num_rows for partition in partitions),
        target=_target(spec, list(files.values()), merge_profiles(profiles)),
    )


def _target(spec: ModelSpec, paths: Sequence[Path], profile: Profile) -> TargetDistribution | None:
    if not isinstance(spec, ClassicSpec):
        return None
    if spec.training.task == "regression":
        return quantity_distribution(profile, spec.training.target)
    return class_distribution(paths, spec.training.target)


def _training_manifest(spec: ModelSpec, validated: Validated, found: Survey, train: Side) -> TrainingManifest:
    return TrainingManifest(
        model=spec.name,
        window=validated.window,
        columns=tuple(ColumnType(name=field.name, type=str(field.type)) for field in found.schema),
        time_column=spec.source.time_column,
        key_columns=tuple(dict.fromkeys([*spec.source.key_columns, *spec.holdout_key_columns])),
        train=train,
    )


def _lineage(validated: Validated, clean: Mapping[str, Partition], train: Side, holdout: Side) -> tuple[Lineage, ...]:
    def hashes(partitions: Sequence[Partition]) -> dict[str, str]:
        return {partition.name: partition.content_sha256 for partition in partitions}

    source = hashes(validated.prepared_from or validated.raw)
    prepared = hashes(validated.raw) if validated.prepared_from else {}
    cut_train, cut_holdout = hashes(train.partitions), hashes(holdout.partitions)
    return tuple(
        Lineage(
            name=name,
            raw_sha256=source.get(name),
            prepared_sha256=prepared.get(name),
            clean_sha256=partition.content_sha256,
            train_sha256=cut_train.get(name),
            holdout_sha256=cut_holdout.get(name),
            num_rows=partition.num_rows,
        )
        for name, partition in clean.items()
    )


def _quality(validated: Validated) -> QualityCounts:
    return QualityCounts(
        num_rows_in=validated.num_rows_in,
        num_rows_bad=validated.num_rows_bad,
        num_checks=len(validated.checks),
        warnings=tuple(check.check for check in validated.checks if check.status != "passed"),
        report_key=validated.report_key,
    )
