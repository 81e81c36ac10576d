"""The profile of the whole is the merged profile of its parts, and the same bytes on every run."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.parquet import ROW_GROUP_ROWS
from pipelines.data.profiles import FORMAT_VERSION, Profile, merge_profiles
from pipelines.data.profiling import profile_parquet, profile_table
from pipelines.data.quantiles import QuantileSummary
from pipelines.errors import DataError


def rows(num_rows: int = 6_000, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    measured = rng.normal(5, 2, num_rows)
    return pa.table(
        {
            "measured": pa.array(np.where(rng.random(num_rows) < 0.1, np.nan, measured)),
            "hour": pa.array(rng.integers(0, 24, num_rows), pa.int32(), mask=rng.random(num_rows) < 0.05),
            "city": pa.array(rng.choice(["Oslo", "Köln", ""], num_rows)).dictionary_encode(),
            "note": pa.array([None if n % 3 else f"note {n}" for n in range(num_rows)]),
            "late": pa.array(rng.random(num_rows) < 0.3),
            "at": pa.array(np.datetime64("2013-01-01") + rng.integers(0, 10**6, num_rows).astype("m8[s]")),
            "nothing": pa.nulls(num_rows),
            "list": pa.array([[1], None] * (num_rows // 2)),
        }
    )


def test_counts_and_extremes_are_those_of_the_rows() -> None:
    table = rows()
    profile = profile_table(table)
    assert profile.num_rows == table.num_rows
    hour, measured = profile.column("hour"), profile.column("measured")
    assert hour.num_nulls == table["hour"].null_count
    assert (hour.number.minimum, hour.number.maximum) == (0, 23)
    finite = table["measured"].to_numpy()[np.isfinite(table["measured"].to_numpy())]
    assert measured.num_not_finite == table.num_rows - finite.size
    assert (measured.number.minimum, measured.number.maximum) == (finite.min(), finite.max())
    assert measured.number.mean == pytest.approx(finite.mean())
    assert measured.number.variance == pytest.approx(finite.var(ddof=1))
    assert abs(measured.number.summary.quantile(0.5) - np.median(finite)) < 0.05
    assert round(hour.num_distinct) == 24


def test_texts_and_booleans_have_lengths_and_frequent_values() -> None:
    table = rows()
    profile = profile_table(table)
    city, late = profile.column("city"), profile.column("late")
    counts = {pair["values"]: pair["counts"] for pair in table["city"].value_counts().to_pylist()}
    assert dict(city.text.top()) == counts
    assert (city.text.shortest, city.text.longest) == (0, 4)
    assert city.text.total_length == sum(len(value) * count for value, count in counts.items())
    assert {value for value, _ in late.text.top()} == {"true", "false"}


def test_the_lengths_of_texts_are_a_distribution_of_their_own() -> None:
    table = rows()
    parts = [profile_table(table.slice(0, 1_000)), profile_table(table.slice(1_000))]
    for profile in (profile_table(table), merge_profiles(parts)):
        for name in ("city", "note"):
            found = QuantileSummary.decode(profile.column(name).text.lengths)
            expected = np.unique(
                [len(value) for value in table[name].to_pylist() if value is not None], return_counts=True
            )
            assert [found.values.tolist(), found.weights.tolist()] == [one.tolist() for one in expected]


def test_a_profile_from_before_lengths_were_summarised_merges_to_one_without() -> None:
    profile = profile_table(pa.table({"x": ["a", "bb"]}))
    column = profile.column("x")
    old = profile.model_copy(
        update={"columns": (column.model_copy(update={"text": column.text.model_copy(update={"lengths": None})}),)}
    )
    assert merge_profiles([profile, old]).column("x").text.lengths is None


def test_each_column_is_of_a_family() -> None:
    families = {column.name: column.family for column in profile_table(rows()).columns}
    assert families == {
        "measured": "number",
        "hour": "number",
        "city": "text",
        "note": "text",
        "late": "boolean",
        "at": "time",
        "nothing": "empty",
        "list": "other",
    }


def test_times_are_microseconds_since_1970_in_every_unit() -> None:
    values = pa.array([dt.datetime(2013, 1, 1), dt.datetime(1960, 1, 1)], pa.timestamp("us"))
    units = {unit: values.cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")}
    profile = profile_table(pa.table({**units, "day": values.cast(pa.date32())}))
    for column in profile.columns:
        assert (column.number.minimum, column.number.maximum) == (-315_619_200e6, 1_356_998_400e6), column.name


def comparable(profile: Profile) -> list:
    """Return all that must be exactly equal however the rows were split."""
    exact = []
    for column in profile.columns:
        number, text = column.number, column.text
        exact.append((column.name, column.family, column.num_rows, column.num_nulls, column.num_not_finite))
        exact.append(number and (number.count, number.minimum, number.maximum))
        exact.append(text and (text.count, text.shortest, text.longest, text.total_length))
        if text and column.name != "note":  # more distinct values than are counted exactly
            exact.append(text.top())
    return exact


def test_merged_parts_say_what_the_whole_says() -> None:
    table = rows()
    whole = profile_table(table)
    cuts = [0, 10, 10, 2_500, 6_000]
    parts = [profile_table(table.slice(start, end - start)) for start, end in pairwise(cuts)]
    at_once = merge_profiles(parts)
    left = merge_profiles([merge_profiles(parts[:2]), merge_profiles(parts[2:])])
    right = merge_profiles([parts[0], merge_profiles([parts[1], merge_profiles(parts[2:])])])
    for merged in (at_once, left, right):
        assert comparable(merged) == comparable(whole)
        for column in whole.columns:
            other = merged.column(column.name)
            assert other.num_distinct == pytest.approx(column.num_distinct, rel=0.05, abs=0.5)
            if column.number is not None:
                assert other.number.mean == pytest.approx(column.number.mean, rel=1e-12)
                assert other.number.m2 == pytest.approx(column.number.m2, rel=1e-9)
                _assert_quantiles_agree(column.number.summary, other.number.summary)


def _assert_quantiles_agree(left, right) -> None:
    points = np.union1d(left.values, right.values)
    apart = np.abs(left.share_below_or_at(points) - right.share_below_or_at(points)).max()
    assert apart <= left.rank_error + right.rank_error + 1e-12


def test_a_file_and_its_table_have_one_profile_also_over_many_row_groups(tmp_path) -> None:
    table = rows().select(["measured", "hour", "city"])
    table = pa.concat_tables([table] * (ROW_GROUP_ROWS // table.num_rows + 2)).unify_dictionaries().combine_chunks()
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=ROW_GROUP_ROWS)
    assert profile_parquet(tmp_path / "rows.parquet") == profile_table(table)


def test_another_process_gives_the_same_bytes(tmp_path) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    imports = "import sys; from pathlib import Path; from pipelines.data.profiling import profile_parquet"
    code = f"{imports}; print(profile_parquet(Path(sys.argv[1])).sha256)"
    command = [sys.executable, "-c", code, str(tmp_path / "rows.parquet")]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert there == profile_parquet(tmp_path / "rows.parquet").sha256


def test_the_order_of_rows_changes_nothing() -> None:
    table = rows().select(["hour", "city", "note", "late"])
    assert profile_table(table.take(list(range(table.num_rows))[::-1])) == profile_table(table)


def test_minus_zero_is_zero() -> None:
    minus, zero = pa.table({"x": [-0.0, 1.0]}), pa.table({"x": [0.0, 1.0]})
    assert profile_table(minus) == profile_table(zero)


def test_infinities_and_the_largest_doubles_break_nothing() -> None:
    profile = profile_table(pa.table({"x": [np.inf, -np.inf, np.nan, 1.7e308, -1.7e308]}))
    column = Profile.from_dict(profile.to_dict()).column("x")
    assert (column.num_not_finite, column.number.count, column.number.m2) == (3, 2, None)
    assert merge_profiles([profile, profile]).column("x").number.m2 is None


def test_json_and_back_is_the_same_profile() -> None:
    profile = profile_table(rows())
    assert Profile.model_validate_json(profile.to_bytes()) == profile
    assert profile.version == FORMAT_VERSION


def test_a_part_without_values_takes_the_others_family() -> None:
    empty = profile_table(pa.table({"x": pa.nulls(3)}))
    merged = merge_profiles([empty, profile_table(pa.table({"x": ["a"]}))]).column("x")
    assert (merged.family, merged.num_rows, merged.num_nulls) == ("text", 4, 3)


@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        ({"x": [1]}, {"x": ["a"]}, "Column 'x' is number in one profile and text in another"),
        ({"x": [1]}, {"y": [1]}, r"differ in their columns: \['x', 'y'\]"),
    ],
)
def test_profiles_of_other_columns_or_families_do_not_merge(left, right, told) -> None:
    with pytest.raises(DataError, match=told):
        merge_profiles([profile_table(pa.table(left)), profile_table(pa.table(right))])


def test_a_profile_of_another_format_does_not_merge() -> None:
    profile = profile_table(pa.table({"x": [1]}))
    with pytest.raises(DataError, match="format version 2; only 1 can be merged"):
        merge_profiles([profile, profile.model_copy(update={"version": 2})])


def test_nothing_cannot_be_merged_and_an_unknown_column_is_named() -> None:
    with pytest.raises(DataError, match="0 given"):
        merge_profiles([])
    with pytest.raises(DataError, match=r"no column 'y': it has \['x'\]"):
        profile_table(pa.table({"x": [1]})).column("y")


def test_a_month_of_flights_is_profiled_in_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({f"x{number}": rng.normal(size=30_000) for number in range(20)})
    seconds = []
    for _ in range(3):
        start = time.process_time()
        profile_table(table)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5
