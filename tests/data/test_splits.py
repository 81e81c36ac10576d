"""Every row is on exactly one side, and a key keeps its side for ever."""

from __future__ import annotations

import datetime as dt
import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from pipelines.data.manifests import HoldoutRule
from pipelines.data.parquet import ROW_GROUP_ROWS
from pipelines.data.splits import Cut, cut, holdout_rule
from pipelines.data.surveys import survey
from pipelines.errors import DataError
from pipelines.spec.source import Holdout, Source
from pipelines.store.verified import file_sha256

BY_TIME = HoldoutRule(by="time", columns=("at",), last_days=2, first_holdout_day="2013-01-03")
BY_KEY = HoldoutRule(by="key", columns=("id",), share=0.25, salt="tandem")


def at(*texts: str, kind: pa.DataType | None = None) -> pa.Table:
    times = pa.array([dt.datetime.fromisoformat(text) for text in texts], pa.timestamp("us"))
    return pa.table({"at": times if kind is None else times.cast(kind), "row": range(len(texts))})


def sides(folder: Path, table: pa.Table, rule: HoldoutRule, name: str = "p") -> tuple[list, list]:
    """Cut a table and return the column `row` of both sides."""
    done = cut_table(folder, table, rule, name)
    read = [[] if path is None else pq.read_table(path)["row"].to_pylist() for path in (done.train, done.holdout)]
    return read[0], read[1]


def cut_table(folder: Path, table: pa.Table, rule: HoldoutRule, name: str = "p") -> Cut:
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    return cut(name, path, rule, folder)


def test_by_time_midnight_belongs_to_the_holdout(tmp_path) -> None:
    table = at("2013-01-02T23:59:59.999999", "2013-01-03", "2013-01-01", "2013-01-04T12:00")
    assert sides(tmp_path, table, BY_TIME) == ([0, 2], [1, 3])


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.date32()])
def test_by_time_every_type_of_time_is_cut_at_the_same_place(tmp_path, kind: pa.DataType) -> None:
    assert sides(tmp_path, at("2013-01-02", "2013-01-03", kind=kind), BY_TIME) == ([0], [1])


def test_by_time_before_1970_days_are_counted_the_same_way(tmp_path) -> None:
    rule = BY_TIME.model_copy(update={"first_holdout_day": "1960-01-02"})
    assert sides(tmp_path, at("1960-01-01T23:59:59", "1960-01-02"), rule) == ([0], [1])


@pytest.mark.parametrize(
    ("last", "last_days", "first_day"),
    [
        ("2013-03-31T23:59", 14, "2013-03-18"),
        ("2013-03-31T00:00", 1, "2013-03-31"),
        ("1969-12-31T12:00", 2, "1969-12-30"),
    ],
)
def test_whole_days_are_counted_back_from_the_day_of_the_latest_row(tmp_path, last, last_days, first_day) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(at(last, "1950-01-01"), path)
    found = survey({"p": path}, ["at"], "row", "at")
    assert holdout_rule(Holdout(by="time", last_days=last_days), (), "at", found).first_holdout_day == first_day


def source_of(**keys) -> Source:
    return TypeAdapter(Source).validate_python({"type": "files", "paths": ["x"], "format": "csv", **keys})


def test_a_partition_wholly_on_one_side_is_handed_on_byte_for_byte(tmp_path) -> None:
    early = cut_table(tmp_path, at("2013-01-01"), BY_TIME, "early")
    late = cut_table(tmp_path, at("2013-01-05"), BY_TIME, "late")
    assert (early.train, early.holdout) == (tmp_path / "early.parquet", None)
    assert (late.train, late.holdout) == (None, tmp_path / "late.parquet")


def ids(values, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"id": pa.array(values).cast(kind or pa.int64()), "row": values})


def expected_holdout(values, rule: HoldoutRule = BY_KEY) -> list:
    """Say in plain Python which keys are held out: the reference that no engine may leave."""
    salt = f"{len(rule.salt.encode())}:{rule.salt}"
    threshold = int(Fraction(rule.share) * 16**16)

    def place(value) -> int:
        text = str(value)
        return int(hashlib.md5(f"{salt}{len(text.encode())}:{text}".encode()).hexdigest()[:16], 16)

    return [value for value in values if place(value) < threshold]


def test_by_key_the_side_is_what_plain_python_says(tmp_path) -> None:
    values = list(range(500))
    train, holdout = sides(tmp_path, ids(values), BY_KEY)
    assert holdout == expected_holdout(values)
    assert sorted(train + holdout) == values


def test_by_key_the_sides_of_known_keys_never_change(tmp_path) -> None:
    assert sides(tmp_path, ids(list(range(30))), BY_KEY)[1] == [2, 3, 9, 14, 20, 22, 23, 26]


@pytest.mark.parametrize("kind", [pa.int16(), pa.float64(), pa.string(), pa.decimal128(21, 2)])
def test_by_key_the_type_that_holds_a_key_does_not_change_its_side(tmp_path, kind: pa.DataType) -> None:
    values = list(range(200))
    assert sides(tmp_path, ids(values, kind), BY_KEY) == sides(tmp_path, ids(values), BY_KEY)


def test_by_key_rows_of_one_key_are_all_on_one_side(tmp_path) -> None:
    keys = np.random.default_rng(0).integers(0, 50, 2_000)
    table = pa.table({"id": keys, "row": keys})
    train, holdout = sides(tmp_path, table, BY_KEY)
    assert not set(train) & set(holdout)
    assert len(train) + len(holdout) == 2_000


def test_by_key_the_share_is_kept(tmp_path) -> None:
    _, holdout = sides(tmp_path, ids(list(range(20_000))), BY_KEY)
    assert abs(len(holdout) / 20_000 - 0.25) < 4 * (0.25 * 0.75 / 20_000) ** 0.5


def test_by_key_a_larger_share_keeps_all_that_a_smaller_one_held_out(tmp_path) -> None:
    values = list(range(1000))
    _, small = sides(tmp_path, ids(values), BY_KEY)
    _, large = sides(tmp_path, ids(values), BY_KEY.model_copy(update={"share": 0.5}))
    assert set(small) < set(large)


def test_by_key_another_salt_chooses_other_keys(tmp_path) -> None:
    values = list(range(1000))
    other = BY_KEY.model_copy(update={"salt": "it's änother"})
    assert sides(tmp_path, ids(values), other)[1] == expected_holdout(values, other)
    assert sides(tmp_path, ids(values), other) != sides(tmp_path, ids(values), BY_KEY)


def test_by_key_rows_without_a_key_are_together(tmp_path) -> None:
    table = pa.table({"id": pa.array([None, None, 1], pa.int64()), "row": [0, 1, 2]})
    train, holdout = sides(tmp_path, table, BY_KEY)
    assert {0, 1} <= set(train) or {0, 1} <= set(holdout)


def test_by_key_a_fraction_is_no_key(tmp_path) -> None:
    with pytest.raises(DataError, match=r"1 of 2 rows read from partition 'p' have a key that is no whole number"):
        cut_table(tmp_path, pa.table({"id": [1.0, 0.5], "row": [0, 1]}), BY_KEY)


def test_the_order_and_types_of_rows_are_kept_over_many_row_groups(tmp_path) -> None:
    num_rows = ROW_GROUP_ROWS + 10_000
    table = pa.table(
        {
            "id": range(num_rows),
            "row": range(num_rows),
            "zone": pa.array(range(num_rows), pa.timestamp("ms", "Asia/Tokyo")),
            "word": pa.array(["a", None] * (num_rows // 2)).dictionary_encode(),
            "nothing": pa.nulls(num_rows),
        }
    )
    done = cut_table(tmp_path, table, BY_KEY)
    for path in (done.train, done.holdout):
        assert pq.read_schema(path).remove_metadata().equals(table.schema)
        rows = pq.read_table(path, columns=["row"])["row"].to_pylist()
        assert rows == sorted(rows)


def test_the_same_partition_gives_the_same_bytes_again(tmp_path) -> None:
    hashes = set()
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        done = cut_table(folder, ids(list(range(3000))), BY_KEY)
        hashes.add((file_sha256(done.train), file_sha256(done.holdout)))
    assert len(hashes) == 1


def test_a_rule_says_itself_in_words() -> None:
    assert str(BY_TIME) == "the last 2 days by at, from 2013-01-03 on"
    assert str(BY_KEY) == "a share of 0.25 of keys by the hash of id with salt 'tandem'"
