"""A snapshot is cut, proven, named by its hash, and its holdout cannot be reached from training."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.profiles import Profile, merge_profiles
from pipelines.data.profiling import profile_table
from pipelines.data.snapshots import (
    read_holdout,
    read_manifest,
    read_training,
    training_view,
)
from pipelines.errors import DataError, HoldoutRefused, IntegrityError, StoreError
from pipelines.records import CheckResult, Partition, SnapshotRef, Validated, Window, sha256_of
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.snapshot import snapshot
from pipelines.store import Store, open_store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.scoped import ScopedStore
from pipelines.store.verified import read_record

ENVIRONMENT = Environment.model_validate(
    {
        "name": "test",
        "home": "/nowhere",
        "store": {"uri": "memory://"},
        "mlflow": {"tracking_uri": "http://127.0.0.1:9", "artifact_root": "file:///nowhere"},
    }
)
BY_TIME = {"by": "time", "last_days": 10}
BY_KEY = {"by": "key", "share": 0.3}


def spec_of(holdout: dict[str, Any] = BY_TIME, **training: Any) -> ClassicSpec:
    return ClassicSpec.model_validate(
        {
            "kind": "classic",
            "name": "rain",
            "description": "Tells whether it will rain.",
            "source": {
                "type": "files",
                "paths": ["x"],
                "format": "csv",
                "time_column": "at",
                "key_columns": ["station"],
            },
            "holdout": holdout,
            "training": {
                "task": "binary",
                "target": "rain",
                "features": ["pressure", "station"],
                "budget": {"trials": 1},
                **training,
            },
            "gates": {"rules": [{"metric": "roc_auc", "minimum": 0.6}]},
        }
    )


def month(number: int, num_rows: int = 400) -> pa.Table:
    rng = np.random.default_rng(number)
    minutes = np.sort(rng.integers(0, 28 * 24 * 60, num_rows))
    return pa.table(
        {
            "at": pa.array([dt.datetime(2013, number, 1) + dt.timedelta(minutes=int(n)) for n in minutes]),
            "station": [f"S{n}" for n in rng.integers(0, 60, num_rows)],
            "pressure": rng.normal(1013, 9, num_rows),
            "rain": rng.random(num_rows) < 0.3,
        }
    )


def months() -> dict[str, pa.Table]:
    return {f"2013-0{number}": month(number) for number in (1, 2, 3)}


def put(store: Store, tables: dict[str, pa.Table]) -> Validated:
    """Store clean partitions, as validation would."""
    partitions = []
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        data = sink.getvalue().to_pybytes()
        key = f"rain/clean/{name}/{sha256_of(data)}.parquet"
        store.write(key, data)
        partitions.append(
            Partition(name=name, key=key, content_sha256=sha256_of(data), num_rows=table.num_rows, size_bytes=len(data))
        )
    raw = tuple(one.model_copy(update={"content_sha256": sha256_of(one.name.encode())}) for one in partitions)
    said = {"type": "expect_x", "column": None, "bad_rows": None, "observed": "1", "required": "2"}
    dry = CheckResult(check="dry", status="failed", severity="warning", **said)
    wet = CheckResult(check="wet", status="passed", severity="critical", **said)
    return Validated(
        model="rain",
        window=Window(start="2013-01-01"),
        raw=raw,
        partitions=tuple(partitions),
        quarantined=(),
        num_rows_in=1_210,
        num_rows_bad=10,
        checks=(dry, wet),
        report_key="rain/reports/quality/r.html",
    )


@dataclass(frozen=True)
class Taken:
    """A snapshot and where it was taken."""

    store: Store
    spec: ClassicSpec
    validated: Validated
    reference: SnapshotRef

    @property
    def manifest(self):
        return read_manifest(self.store, "rain", self.reference.snapshot_id)


def take(spec: ClassicSpec, tables: dict[str, pa.Table], store: Store | None = None) -> Taken:
    store = store or MemoryStore()
    validated = put(store, tables)
    return Taken(store, spec, validated, snapshot(Context(spec, ENVIRONMENT, store), validated))


@pytest.fixture(params=[BY_TIME, BY_KEY], ids=["by time", "by key"])
def taken(request: pytest.FixtureRequest) -> Taken:
    return take(spec_of(request.param), months())


def all_rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: json.dumps(row, default=str))


def test_every_clean_row_is_on_exactly_one_side(taken: Taken) -> None:
    train = read_training(taken.store, taken.reference)
    holdout = read_holdout(taken.store, "rain", taken.reference.snapshot_id)
    assert all_rows(pa.concat_tables([train, holdout])) == all_rows(pa.concat_tables(months().values()))
    assert (train.num_rows, holdout.num_rows) == (taken.reference.num_rows_train, taken.reference.num_rows_holdout)


def test_by_time_the_holdout_is_the_last_days() -> None:
    taken = take(spec_of(BY_TIME), months())
    last = max(month(3)["at"].to_pylist())
    border = dt.datetime.combine(last.date() - dt.timedelta(days=9), dt.time())
    assert taken.manifest.rule.first_holdout_day == border.date().isoformat()
    assert max(read_training(taken.store, taken.reference)["at"].to_pylist()) < border
    assert min(read_holdout(taken.store, "rain", taken.reference.snapshot_id)["at"].to_pylist()) >= border


def test_by_key_a_key_stays_on_its_side_when_new_data_comes() -> None:
    before = take(spec_of(BY_KEY), {"2013-01": month(1)})
    after = take(spec_of(BY_KEY), months())

    def stations(taken: Taken) -> tuple[set[str], set[str]]:
        holdout = read_holdout(taken.store, "rain", taken.reference.snapshot_id)
        return set(read_training(taken.store, taken.reference)["station"].to_pylist()), set(
            holdout["station"].to_pylist()
        )

    assert stations(before)[0].isdisjoint(stations(after)[1])
    assert stations(before)[1].isdisjoint(stations(after)[0])


def test_taking_it_again_changes_nothing(taken: Taken) -> None:
    before = {info.key: (info.tag, taken.store.read(info.key)) for info in taken.store.list()}
    again = snapshot(Context(taken.spec, ENVIRONMENT, taken.store), taken.validated)
    assert again == taken.reference
    assert {info.key: (info.tag, taken.store.read(info.key)) for info in taken.store.list()} == before


def test_the_order_that_partitions_are_named_in_does_not_matter(taken: Taken) -> None:
    turned = taken.validated.model_copy(update={"partitions": taken.validated.partitions[::-1]})
    assert snapshot(Context(taken.spec, ENVIRONMENT, taken.store), turned) == taken.reference


def test_another_process_and_store_give_the_same_id(tmp_path: Path) -> None:
    taken = take(spec_of(BY_KEY), months(), FileStore(tmp_path / "here"))
    there = FileStore(tmp_path / "there")
    put(there, months())
    record, spec = tmp_path / "validated.json", tmp_path / "spec.json"
    record.write_bytes(taken.validated.to_bytes())
    spec.write_text(taken.spec.model_dump_json())
    code = f"""
from pathlib import Path
from pipelines.records import Validated
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.snapshot import snapshot
from pipelines.store.files import FileStore
environment = Environment.model_validate_json({ENVIRONMENT.model_dump_json()!r})
spec = ClassicSpec.model_validate_json(Path({str(spec)!r}).read_bytes())
context = Context(spec, environment, FileStore(Path({str(tmp_path / "there")!r})))
print(snapshot(context, Validated.model_validate_json(Path({str(record)!r}).read_bytes())).snapshot_id)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == taken.reference.snapshot_id


@pytest.mark.parametrize(
    "change",
    [
        lambda tables: {**tables, "2013-03": month(3).set_column(2, "pressure", pa.array(np.zeros(400)))},
        lambda tables: {name: table for name, table in tables.items() if name != "2013-01"},
    ],
)
def test_other_rows_give_another_id(change: Callable) -> None:
    assert take(spec_of(), change(months())).reference.snapshot_id != take(spec_of(), months()).reference.snapshot_id


def test_another_rule_gives_another_id_and_other_features_do_not() -> None:
    first = take(spec_of(BY_KEY), months()).reference.snapshot_id
    assert take(spec_of({**BY_KEY, "salt": "other"}), months()).reference.snapshot_id != first
    assert take(spec_of(BY_KEY, features=["pressure"]), months()).reference.snapshot_id == first


def test_the_manifest_names_bytes_from_raw_to_both_sides(taken: Taken) -> None:
    manifest = taken.manifest
    assert [line.name for line in manifest.lineage] == ["2013-01", "2013-02", "2013-03"]
    for line, raw, clean in zip(manifest.lineage, taken.validated.raw, taken.validated.partitions, strict=True):
        assert (line.raw_sha256, line.clean_sha256) == (raw.content_sha256, clean.content_sha256)
        assert line.train_sha256 is not None or line.holdout_sha256 is not None
    for side, folder in ((manifest.training.train, "train"), (manifest.holdout, "holdout")):
        for partition in side.partitions:
            assert partition.key == f"rain/{folder}/{partition.name}/{partition.content_sha256}.parquet"
            assert sha256_of(taken.store.read(partition.key)) == partition.content_sha256


def test_the_manifest_tells_schema_target_quality_and_proof(taken: Taken) -> None:
    manifest = taken.manifest
    assert [(column.name, column.type) for column in manifest.training.columns] == [
        ("at", "timestamp[us]"),
        ("station", "string"),
        ("pressure", "double"),
        ("rain", "bool"),
    ]
    rain = read_training(taken.store, taken.reference)["rain"].to_pylist()
    assert manifest.training.train.target.classes == {"false": rain.count(False), "true": rain.count(True)}
    assert manifest.quality.num_rows_bad == 10
    assert manifest.quality.warnings == ("dry",)
    assert manifest.quality.report_key == "rain/reports/quality/r.html"
    assert (manifest.proof.misplaced_rows, manifest.proof.overlap) == (0, 0)
    assert manifest.proof.num_rows_train == manifest.training.train.num_rows
    assert manifest.proof.num_rows_holdout == manifest.holdout.num_rows
    assert manifest.source["type"] == "files"


def test_stored_profiles_are_those_of_the_rows(taken: Taken) -> None:
    references = taken.manifest.training.train.profiles
    profiles = [read_record(taken.store, one.key, Profile, one.profile_sha256) for one in references]
    whole, merged = profile_table(read_training(taken.store, taken.reference)), merge_profiles(profiles)
    assert merged.num_rows == whole.num_rows
    assert merged.column("pressure").number.minimum == whole.column("pressure").number.minimum
    assert merged.column("station").text.top() == whole.column("station").text.top()


# What training can and cannot reach


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_view_for_training_refuses_the_holdout_and_the_manifest(taken: Taken, whole_folder: bool) -> None:
    view = (
        ScopedStore(taken.store, ["rain/train/", taken.reference.training_key])
        if whole_folder
        else training_view(taken.store, taken.reference)
    )
    assert read_training(view, taken.reference).num_rows
    with pytest.raises(HoldoutRefused):
        read_holdout(view, "rain", taken.reference.snapshot_id)
    with pytest.raises(HoldoutRefused):
        read_manifest(view, "rain", taken.reference.snapshot_id)
    held_out = taken.manifest.holdout.partitions[0].key
    clean = taken.validated.partitions[0].key
    for key in (held_out, clean):
        for reach in (view.read, view.open, view.stat, lambda key: view.fetch(key).__enter__()):
            with pytest.raises(HoldoutRefused):
                reach(key)
    for prefix in ("", "rain/", "rain/holdout/"):
        with pytest.raises(HoldoutRefused):
            list(view.list(prefix))


# Bytes that were altered, lost or half written


def test_an_altered_clean_partition_is_refused_and_nothing_is_taken() -> None:
    store = MemoryStore()
    validated = put(store, months())
    key = validated.partitions[1].key
    store.write(key, store.read(key)[:-1] + b"?")
    with pytest.raises(IntegrityError, match="rain/clean/2013-02"):
        snapshot(Context(spec_of(), ENVIRONMENT, store), validated)
    assert list(store.list("rain/snapshots/")) == []


class FailingStore:
    """A store in which the write of number `survives` fails, as if the process had been killed there."""

    def __init__(self, store: Store, survives: int) -> None:
        self.root = store.root
        self._store = store
        self._left = survives

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in ("write", "upload", "put_if_absent") else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any) -> Any:
            if self._left == 0:
                raise StoreError("The power went out.")
            self._left -= 1
            return method(*given)

        return write


@pytest.mark.parametrize("survives", range(0, 12, 2))
def test_a_run_that_ends_at_any_write_leaves_no_snapshot_and_the_next_gives_the_same(survives: int) -> None:
    expected = take(spec_of(BY_KEY), months()).reference
    store = MemoryStore()
    validated = put(store, months())
    with pytest.raises(StoreError, match="power"):
        snapshot(Context(spec_of(BY_KEY), ENVIRONMENT, FailingStore(store, survives)), validated)
    assert [info.key for info in store.list("rain/snapshots/") if info.key.endswith("manifest.json")] == []
    assert snapshot(Context(spec_of(BY_KEY), ENVIRONMENT, store), validated) == expected
    assert read_training(store, expected).num_rows == expected.num_rows_train


def test_a_half_written_file_under_the_right_name_is_written_again() -> None:
    taken = take(spec_of(BY_KEY), months())
    partition = taken.manifest.training.train.partitions[0]
    taken.store.write(partition.key, taken.store.read(partition.key)[:-7])
    assert snapshot(Context(taken.spec, ENVIRONMENT, taken.store), taken.validated) == taken.reference
    assert read_training(taken.store, taken.reference).num_rows == taken.reference.num_rows_train


# Data that no snapshot can be taken of


@pytest.mark.parametrize(
    ("holdout", "told"),
    [
        (
            {"by": "time", "last_days": 400},
            "The training side would be empty: 0 training and 1200 holdout rows of 1200",
        ),
        ({"by": "key", "share": 1e-9}, "The holdout side would be empty: 1200 training and 0 holdout rows of 1200"),
    ],
)
def test_a_side_without_rows_is_refused_with_counts_and_the_rule(holdout: dict, told: str) -> None:
    with pytest.raises(DataError) as caught:
        take(spec_of(holdout), months())
    assert told in str(caught.value)
    assert "last 400 days by at" in str(caught.value) or "a share of 1e-09 of keys" in str(caught.value)


def test_a_target_missing_in_five_percent_of_rows_is_refused_with_count_and_share() -> None:
    store, tables = MemoryStore(), months()
    missing = np.arange(400) % 20 == 0
    rain = pa.array(tables["2013-02"]["rain"].to_pylist(), mask=missing)
    tables["2013-02"] = tables["2013-02"].set_column(3, "rain", rain)
    with pytest.raises(DataError, match=r"Target 'rain' is missing in 20 of 1200 rows \(1\.7%; 2013-02: 20\)"):
        take(spec_of(), tables, store)
    assert list(store.list("rain/train/")) == []


def test_a_partition_of_one_row_and_one_of_none_are_cut_like_any_other() -> None:
    tables = {**months(), "2013-04": month(4, 1), "2013-05": month(5, 0)}
    for holdout in (BY_TIME, BY_KEY):
        taken = take(spec_of(holdout), tables)
        assert taken.reference.num_rows_train + taken.reference.num_rows_holdout == 1_201


def test_the_same_snapshot_is_taken_in_files_and_on_s3(tmp_path: Path, s3_settings) -> None:
    settings = s3_settings.model_copy(update={"uri": f"{s3_settings.uri}/snapshots"})
    taken = [take(spec_of(BY_KEY), months(), store) for store in (FileStore(tmp_path), open_store(settings))]
    assert taken[0].reference == taken[1].reference == take(spec_of(BY_KEY), months()).reference
    assert read_training(taken[1].store, taken[1].reference).equals(read_training(taken[0].store, taken[0].reference))
    assert replace(taken[0], store=taken[1].store).manifest == taken[0].manifest
