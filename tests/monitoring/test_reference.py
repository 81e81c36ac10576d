"""New rows are compared with the same season of the training rows where there are enough of these, else with all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.manifests import ProfileRef, Side
from pipelines.data.partitions import store_partition
from pipelines.data.profile_store import store_profile
from pipelines.data.profiles import Profile, merge_profiles
from pipelines.data.profiling import profile_table
from pipelines.errors import DataError, IntegrityError, ObjectMissing
from pipelines.monitoring.column_drift import column_drift
from pipelines.monitoring.reference import choose_reference, read_profiles, stored_reference, usual_distances
from pipelines.spec.watching import Drift
from pipelines.store.memory import MemoryStore


def month(number: int, num_rows: int = 1_200) -> Profile:
    rng = np.random.default_rng(number)
    return profile_table(pa.table({"warmth": rng.normal(number, 1, num_rows), "fair": rng.normal(size=num_rows)}))


def months(first_year: int = 2011, last_year: int = 2012) -> dict[str, Profile]:
    years = range(first_year, last_year + 1)
    return {f"{year}-{number:02}": month(number) for year in years for number in range(1, 13)}


def test_a_month_is_compared_with_that_month_of_earlier_years() -> None:
    chosen = choose_reference(months(), "2013-04", "month", "season")
    assert chosen.names == ("2011-04", "2012-04")
    assert chosen.profile.num_rows == 2_400
    assert chosen.words == "training rows of April in earlier years: 2,400 rows, 2 partitions from 2011-04 to 2012-04"


def test_a_part_of_a_month_counts_as_that_month() -> None:
    profiles = {"2012-04-01--2012-04-20": month(4), "2012-05": month(5)}
    assert choose_reference(profiles, "2013-04-01--2013-04-10", "month", "season").names == ("2012-04-01--2012-04-20",)


def test_a_day_is_compared_with_that_weekday_of_earlier_weeks() -> None:
    profiles = {f"2013-01-{day:02}": month(day) for day in range(1, 31)} | {"undated": month(1)}
    chosen = choose_reference(profiles, "2013-01-29", "day", "season")  # a Tuesday
    assert chosen.names == ("2013-01-01", "2013-01-08", "2013-01-15", "2013-01-22")
    assert "Tuesdays in earlier weeks" in chosen.words


@pytest.mark.parametrize(
    ("window", "by", "which"),
    [
        ("2013-04", "month", "training"),
        ("2011-04", "month", "season"),  # no earlier year
        ("2013", "year", "season"),
        ("all", "none", "season"),
        ("undated", "month", "season"),
    ],
)
def test_all_training_rows_are_the_reference_where_there_is_no_season(window, by, which) -> None:
    chosen = choose_reference(months(), window, by, which)
    assert len(chosen.names) == 24
    assert chosen.words.startswith("all training rows: 28,800 rows, 24 partitions from 2011-01 to 2012-12")


def test_too_few_rows_of_the_season_are_said() -> None:
    profiles = {"2012-04": month(4, 999), "2012-05": month(5)}
    chosen = choose_reference(profiles, "2013-04", "month", "season")
    assert chosen.names == ("2012-04", "2012-05")
    assert chosen.words.endswith("(April in earlier years: 999 rows, at least 1,000 are needed)")


def test_no_profile_is_an_error() -> None:
    with pytest.raises(DataError, match="0 found, at least 1 needed"):
        choose_reference({}, "2013-04", "month", "season")


def test_how_far_partitions_are_from_the_others_is_exact() -> None:
    rng = np.random.default_rng(0)
    days = {f"{day}": pa.table({"day": np.full(1_000, day), "x": rng.integers(0, 9, 1_000)}) for day in range(1, 6)}
    profiles = [profile_table(table) for table in days.values()]
    usual = usual_distances(profiles, merge_profiles(profiles))
    assert usual["day"] == pytest.approx(1.0)
    one_by_one = [
        column_drift(merge_profiles([*profiles[:place], *profiles[place + 1 :]]), profiles[place], Drift(), ["x"])[0]
        for place in range(5)
    ]
    assert usual["x"] == pytest.approx(max(one.distance for one in one_by_one))


def test_one_partition_or_small_ones_say_nothing_of_what_is_usual() -> None:
    assert usual_distances([month(1)], month(1)) == {}
    assert usual_distances([month(1, 100), month(2)], merge_profiles([month(1, 100), month(2)])) == {}


def test_a_season_that_comes_and_goes_in_training_is_no_drift_and_a_change_beyond_it_is() -> None:
    chosen = choose_reference(
        {name: one for name, one in months().items() if name <= "2012-06"}, "2012-07", "month", "training"
    )
    rng = np.random.default_rng(99)
    usual_month = profile_table(pa.table({"warmth": rng.normal(7, 1, 3_000), "fair": rng.normal(size=3_000)}))
    odd_month = profile_table(pa.table({"warmth": rng.normal(7, 1, 3_000), "fair": rng.normal(0.5, 1, 3_000)}))
    found = {
        name: [one.column for one in column_drift(chosen.profile, new, Drift(), usual=chosen.usual) if one.drifted]
        for name, new in {"usual": usual_month, "odd": odd_month}.items()
    }
    assert found == {"usual": [], "odd": ["fair"]}


@pytest.fixture
def stored(tmp_path: Path) -> tuple[MemoryStore, Side]:
    store, partitions, refs = MemoryStore(), [], []
    for number in (1, 2):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"x": np.arange(100) + number}), path)
        partition = store_partition(store, f"m/train/2013-0{number}", f"2013-0{number}", path)
        profile, key = store_profile(store, partition, path)
        partitions.append(partition)
        refs.append(ProfileRef(name=partition.name, key=key, profile_sha256=profile.sha256))
    return store, Side(partitions=tuple(partitions), profiles=tuple(refs), num_rows=200, target=None)


def test_profiles_are_read_without_a_row(stored) -> None:
    store, side = stored
    for partition in side.partitions:
        store.delete(partition.key)
    assert sorted(read_profiles(store, side)) == ["2013-01", "2013-02"]


def test_a_profile_that_is_gone_or_of_an_older_format_is_made_again_from_the_rows(stored) -> None:
    store, side = stored
    before = read_profiles(store, side)
    store.delete(side.profiles[0].key)
    assert read_profiles(store, side) == before
    assert store.stat(side.profiles[0].key) is not None
    old = side.profiles[0].model_copy(update={"key": "m/train/2013-01/ab.profile0.cd.json"})
    assert read_profiles(store, side.model_copy(update={"profiles": (old, side.profiles[1])})) == before


def test_a_profile_that_is_gone_with_its_rows_or_was_altered_is_an_error(stored) -> None:
    store, side = stored
    store.write(side.profiles[0].key, b"{}")
    with pytest.raises(IntegrityError, match="was altered"):
        read_profiles(store, side)
    store.delete(side.profiles[0].key)
    store.delete(side.partitions[0].key)
    with pytest.raises(ObjectMissing):
        read_profiles(store, side)


def test_a_reference_is_made_once_and_read_without_profile_or_row(stored) -> None:
    store, side = stored
    made = stored_reference(store, "m", "ab12", side, "2013-03", "month", "season")
    assert made == choose_reference(read_profiles(store, side), "2013-03", "month", "season")
    keys = [info.key for info in store.list("m/monitoring/reference/ab12.")]
    for key in [ref.key for ref in side.profiles] + [partition.key for partition in side.partitions]:
        store.delete(key)
    assert stored_reference(store, "m", "ab12", side, "2013-03", "month", "season") == made
    assert [info.key for info in store.list("m/monitoring/")] == keys
    assert len(keys) == 1


def test_an_altered_reference_is_refused_and_other_words_are_another_reference(stored) -> None:
    store, side = stored
    stored_reference(store, "m", "ab12", side, "2013-03", "month", "season")
    stored_reference(store, "m", "ab12", side, "2013-03", "month", "training")
    keys = [info.key for info in store.list("m/monitoring/reference/ab12.")]
    assert len(keys) == 2
    for key in keys:
        store.write(key, b"{}")
    with pytest.raises(IntegrityError, match="was altered"):
        stored_reference(store, "m", "ab12", side, "2013-03", "month", "season")


class Doubled:
    """Reads twice the numbers that stand in the rows."""

    identity = "d" * 64

    def profile(self, path: Path) -> Profile:
        return profile_table(pa.table({"x": np.asarray(pq.read_table(path)["x"]) * 2, "y": np.ones(100)}))


def test_what_a_model_reads_takes_the_place_of_a_column_and_is_another_reference(stored) -> None:
    store, side = stored
    plain = stored_reference(store, "m", "ab12", side, "2013-03", "month", "season")
    read = stored_reference(store, "m", "ab12", side, "2013-03", "month", "season", Doubled())
    assert [column.name for column in read.profile.columns] == ["x", "y"]
    assert read.profile.column("x").number.maximum == 2 * plain.profile.column("x").number.maximum
    for partition in side.partitions:
        store.delete(partition.key)
    assert stored_reference(store, "m", "ab12", side, "2013-03", "month", "training", Doubled()).profile == read.profile
    assert stored_reference(store, "m", "ab12", side, "2013-03", "month", "season") == plain
