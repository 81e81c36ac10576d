"""As many rows as usual, as fresh as they should be, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.profiling import profile_table
from pipelines.monitoring.anomalies.arrival import duplicate_keys, freshness, odd_labels, undated_rows, volume
from pipelines.monitoring.labels import LabelCounts

AS_OF = datetime(2013, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("num_rows", "kinds"),
    [(0, ["empty"]), (1, ["volume"]), (333, ["volume"]), (334, []), (3000, []), (3001, ["volume"])],
)
def test_rows_are_as_many_as_usual_or_it_is_said(num_rows: int, kinds: list[str]) -> None:
    assert [found.kind for found in volume(num_rows, [900, 1000, 5000], 3.0)] == kinds


def test_an_empty_window_is_critical_whatever_is_usual() -> None:
    for usual in ([], [0], [1000]):
        (found,) = volume(0, usual, 3.0)
        assert found.severity == "critical"


def test_without_anything_usual_nothing_is_said_of_the_volume() -> None:
    assert volume(5, [], 3.0) == []
    assert volume(5, [0, 0], 3.0) == []


def test_the_sentence_about_volume_says_value_bound_and_meaning() -> None:
    (few,), (many,) = volume(100, [1000], 3.0), volume(10_000, [1000], 3.0)
    assert few.message == (
        "The window has 100 rows, 10.0 times fewer than usual (1,000, the median of 1 windows); up to 3 times is "
        "allowed: some may not have come."
    )
    assert "10.0 times more than usual" in many.message
    assert "twice" in many.message


@pytest.mark.parametrize(("days", "is_old"), [(0.5, False), (2.0, False), (2.01, True), (-3.0, False)])
def test_the_newest_row_tells_how_fresh_a_window_is(days: float, is_old: bool) -> None:
    times = [AS_OF - timedelta(days=days + 10), AS_OF - timedelta(days=days), None]
    for kind in (pa.timestamp("us", "America/New_York"), pa.timestamp("us")):
        zoned = kind.tz is not None
        values = [time if time is None or zoned else time.replace(tzinfo=None) for time in times]
        profile = profile_table(pa.table({"at": pa.array(values, kind)}))
        assert [found.kind for found in freshness(profile, "at", AS_OF, 2.0)] == ["freshness"] * is_old


@pytest.mark.parametrize(("years", "is_old"), [(20_000, False), (-20_000, True)])
def test_times_beyond_any_calendar_are_no_crash(years: int, is_old: bool) -> None:
    times = pa.array([years * 365 * 86_400_000_000], pa.int64()).cast(pa.timestamp("us"))
    assert bool(freshness(profile_table(pa.table({"at": times})), "at", AS_OF, 2.0)) is is_old


def test_the_sentence_about_freshness_says_when_the_newest_row_is_from() -> None:
    profile = profile_table(pa.table({"at": [datetime(2013, 4, 1, 7, 30)]}))
    (found,) = freshness(profile, "at", AS_OF, 2.0)
    assert found.message.startswith("The newest row is from 2013-04-01 07:30, 29.7 days before 2013-05-01 00:00; 2 are")


def test_freshness_is_asked_for_or_not_looked_at() -> None:
    profile = profile_table(pa.table({"at": [datetime(1990, 1, 1)]}))
    assert freshness(profile, "at", AS_OF, None) == []
    assert freshness(profile, None, AS_OF, 2.0) == []
    assert freshness(profile_table(pa.table({"at": pa.array([], pa.date32())})), "at", AS_OF, 2.0) == []


@pytest.mark.parametrize("table", [pa.table({"at": pa.array([None], pa.date32())}), pa.table({"other": [1]})])
def test_rows_without_a_time_are_not_taken_for_fresh(table: pa.Table) -> None:
    (found,) = freshness(profile_table(table), "at", AS_OF, 2.0)
    assert "nobody knows" in found.message


def _scored(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "scored.parquet")
    return folder / "scored.parquet"


def test_rows_that_share_a_key_are_counted(tmp_path: Path) -> None:
    path = _scored(tmp_path, {"a": ["x", "x", "y", "x"], "b": [1.5, 1.5, 1.5, 1.4]})
    (found,) = duplicate_keys(path, ["a", "b"])
    assert (found.kind, found.severity) == ("duplicate_keys", "warning")
    assert found.message.startswith("1 of 4 rows (25.00%) repeat the key of another row (a, b); 0 are allowed")
    assert duplicate_keys(path, []) == []


def test_rows_that_lack_a_part_of_their_key_are_counted(tmp_path: Path) -> None:
    path = _scored(tmp_path, {"a": ["x", None, None], "b": [1, 2, 2]})
    assert [found.kind for found in duplicate_keys(path, ["a", "b"])] == ["duplicate_keys", "missing_keys"]
    assert duplicate_keys(path, ["a", "b"])[1].message.startswith("2 of 3 rows lack a part")


def test_no_rows_have_no_duplicates(tmp_path: Path) -> None:
    assert duplicate_keys(_scored(tmp_path, {"a": pa.array([], pa.string())}), ["a"]) == []


def test_labels_that_could_not_be_used_are_never_passed_over() -> None:
    counts = LabelCounts(
        num_scored=10,
        num_labelled=7,
        num_waiting=1,
        num_contradicting=2,
        num_doubled=0,
        num_corrected=5,
        num_never_scored=3,
        num_unplaced=6,
        num_misplaced=8,
    )
    kinds = {found.kind: found.message for found in odd_labels(counts, 4)}
    other = ["misplaced_labels", "unknown_labels"]
    assert list(kinds) == ["contradicting_labels", "labels_never_scored", "unplaced_labels", *other]
    assert kinds["contradicting_labels"].startswith("2 rows have two labels in one delivery")
    odd = ("num_contradicting", "num_never_scored", "num_unplaced", "num_misplaced")
    fine = counts.model_copy(update=dict.fromkeys(odd, 0))
    assert odd_labels(fine, 0) == []


def test_rows_without_a_time_are_counted_and_none_says_nothing() -> None:
    assert undated_rows(0, 1000) == []
    (found,) = undated_rows(1200, 1000)
    assert (found.kind, found.severity) == ("undated_rows", "warning")
    assert "1,200 rows came with the 1,000 of this window" in found.message
