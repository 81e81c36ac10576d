"""Watch a real champion day by day: labels that come late, rows that change, versions that go, and who is killed."""

from __future__ import annotations

import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.manifests import Manifest
from pipelines.data.snapshots import read_manifest
from pipelines.errors import MonitoringRefused
from pipelines.records import Evaluation, MonitoringReport, Window, WindowRequest
from pipelines.registry.champion import candidate_of
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.spec.watching import KOfN
from pipelines.steps.classic.monitor import monitor
from pipelines.steps.decide import decide
from pipelines.steps.reports import Reports
from pipelines.steps.roll_back import roll_back
from pipelines.store import Store
from pipelines.store.verified import read_record
from tests.faults.deadly import DeadlyStore, run_in_child
from tests.steps.watching import MODEL, ROWS_A_DAY, Place, copy_tiny, day, drifted, end_of, kinds, second_champion

KILLS = 4
LATER = datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return copy_tiny(trained_tiny, tmp_path, monkeypatch)


def auc(report: MonitoringReport, source: str) -> float | None:
    values = report.performance if source == "measured" else report.estimates
    return next((one.value for one in values if one.metric == "roc_auc"), None)


def reports_of(place: Place, as_of: datetime = LATER) -> Reports:
    return Reports(place.context.store, place.context.spec, as_of)


def manifest_of(place: Place) -> Manifest:
    entry = champion_entry(read_ledger(place.context.store, MODEL))
    assert entry is not None
    candidate = candidate_of(place.context.store, entry, "Nothing was read")
    return read_manifest(place.context.store, MODEL, candidate.snapshot_id)


def test_a_day_like_those_of_the_training_is_measured_and_nothing_is_odd(place: Place) -> None:
    report = place.live(13)
    assert (report.window_name, report.num_rows, report.num_labelled) == (day(13), ROWS_A_DAY, ROWS_A_DAY)
    assert (report.champion_version, report.num_new_labelled_rows) == (1, ROWS_A_DAY)
    assert (drifted(report), kinds(report)) == ([], [])
    assert {one.column for one in report.columns} == {"x", "z", "kind"}
    assert sum(one.weight for one in report.columns) == pytest.approx(1)
    assert max(report.columns, key=lambda one: one.weight).column == "x"
    assert auc(report, "measured") == pytest.approx(0.94, abs=0.05)
    assert auc(report, "estimated") == pytest.approx(auc(report, "measured"), abs=0.05)
    assert not any(one.dropped for one in [*report.performance, *report.estimates])


def test_what_the_champion_predicted_at_its_promotion_is_fetched_once_a_look(place: Place) -> None:
    for number in (13, 14):
        place.deliver(number)
        place.score(number)
    watching = FetchingStore(place.context.store, None)
    left = monitor(replace(place.context, store=watching), WindowRequest(as_of=end_of(14)))
    assert len(left.report_keys) == 2
    (evaluation,) = [key for key in place.keys("evaluations/") if key.count(".") == 1 and key.endswith(".json")]
    predictions = read_record(place.context.store, evaluation, Evaluation).predictions_key
    assert watching.fetched.count(str(predictions)) == 1


class FetchingStore(DeadlyStore):
    """A store that remembers which files were fetched from it."""

    def __init__(self, store: Store, point: int | None) -> None:
        super().__init__(store, point)
        self.fetched = list[str]()

    def fetch(self, key: str) -> Any:
        self.fetched.append(key)
        return super().fetch(key)


def test_the_same_again_stores_nothing_whenever_it_is_asked(place: Place) -> None:
    place.deliver(13)
    place.score(13)
    first = place.monitor(13)
    stored = {info.key: info.tag for info in place.context.store.list(f"{MODEL}/")}
    assert place.monitor(13) == first
    later = place.monitor(13, as_of=end_of(15))
    assert (later.report_keys, later.report_key) == (first.report_keys, first.report_key)
    assert {info.key: info.tag for info in place.context.store.list(f"{MODEL}/")} == stored
    page = place.context.store.read(str(first.report_key)).decode()
    assert day(13) in page


def test_a_report_is_made_anew_for_a_setting_that_it_hangs_on_and_for_no_other(place: Place) -> None:
    first, spec = place.live(13), place.context.spec
    rules = spec.monitoring.performance.model_copy(update={"persistence": KOfN(needed=2, windows=9), "metric": "f1"})
    drift = spec.monitoring.drift.model_copy(update={"minimum_weight": 0.9})
    for section, fields in (
        ("promotion", {"approval": "human"}),
        ("scoring", {"batch_rows": 9}),
        ("gates", {"minimum_rows": 9}),
        ("training", {"seed": 9, "calibrate": False}),
        ("monitoring", {"cron": "@daily", "drift": drift, "performance": rules}),
    ):
        assert place.changed(section, **fields).watch(13, as_of=end_of(14)) == first
    seen = {first.inputs_sha256}
    for later, (section, fields) in enumerate(
        (
            ("training", {"features": ("x", "z")}),
            ("training", {"target": "kind"}),
            ("gates", {"bootstrap_samples": 101}),
            ("source", {"key_columns": ()}),
            ("monitoring", {"drift": spec.monitoring.drift.model_copy(update={"minimum_distance": 0.5})}),
        ),
        start=14,
    ):
        made = place.changed(section, **fields).watch(13, as_of=end_of(later))
        assert (made.as_of, made.inputs_sha256 in seen) == (end_of(later), False), section
        seen.add(made.inputs_sha256)


def test_labels_that_come_later_make_a_second_report_and_the_first_ones_estimate_is_kept(place: Place) -> None:
    before = place.live(13, labelled=False)
    assert (before.num_labelled, auc(before, "measured")) == (0, None)
    assert auc(before, "estimated") is not None
    place.deliver(13)
    after = place.watch(13, as_of=end_of(15))
    assert (after.num_labelled, after.num_rows) == (ROWS_A_DAY, ROWS_A_DAY)
    assert auc(after, "measured") is not None
    assert after.estimates == before.estimates
    assert "rows_changed" in [kind for kind, _ in kinds(after)]
    assert reports_of(place).made_of([day(13)]) == [before, after]
    assert reports_of(place).last() == [after]
    assert reports_of(place, datetime(2013, 1, 15, tzinfo=UTC)).last() == [before]


def test_labels_are_held_back_as_long_as_the_spec_says(place: Place) -> None:
    place = place.changed("monitoring", label_delay_days=0.5)
    at_its_end = place.live(13)
    assert at_its_end.num_labelled == ROWS_A_DAY // 2 + 1  # noon itself is known at midnight
    later = place.watch(13, as_of=f"{day(14)}T12:00:00+00:00")
    assert later.num_labelled == ROWS_A_DAY
    assert place.watch(13, as_of=end_of(20)) == later


def test_times_with_a_zone_are_placed_and_held_back_by_utc(place: Place) -> None:
    types = {**place.context.spec.source.model_dump()["column_types"], "time": "TIMESTAMPTZ"}
    place = place.changed("source", column_types=types).changed("monitoring", label_delay_days=0.5)
    for old in place.rows.iterdir():
        old.unlink()  # of one source all times have a zone, or none has
    place.deliver(13)
    file = place.rows / f"{day(13)}.csv"
    file.write_text(re.sub(r"(:00),", r"\1+02,", file.read_text()))  # two hours ahead of UTC
    place.score(13)
    report = place.watch(13)
    assert report.num_rows == ROWS_A_DAY - 20  # the first two hours are of the day before
    assert report.num_labelled == 121  # and noon is two in the afternoon


def test_a_column_that_moved_is_seen_at_once_and_persists_after_two_of_three_days(place: Place) -> None:
    reports = [place.live(number, shift=shift) for number, shift in ((13, 0.6), (14, 0.0), (15, 0.6))]
    assert [drifted(report) for report in reports] == [["x"], [], ["x"]]
    persistent = [[one.column for one in report.columns if one.persistent] for report in reports]
    assert persistent == [[], [], ["x"]]
    joint = [report.joint for report in reports]
    assert [one is not None and one.drifted for one in joint] == [True, False, True]
    assert [one.drifted for one in reports[0].predictions] == [True, True]


def test_a_day_on_which_nothing_came_is_a_critical_alarm(place: Place) -> None:
    place.deliver(13)
    place.score(13)
    empty = place.watch(14)
    assert kinds(empty) == [("empty", "critical")]
    assert (empty.num_rows, empty.window_name) == (0, day(14))
    assert place.monitor(14, as_of=end_of(16)).report_sha256s == (empty.sha256,)
    late = place.live(14)
    assert (late.num_rows, kinds(late)) == (ROWS_A_DAY, [])


def test_a_day_that_was_skipped_is_told_also_where_no_window_is_named(place: Place) -> None:
    for number in (13, 15):
        place.deliver(number)
        place.score(number)
    left = monitor(place.context, WindowRequest(as_of=end_of(15)))
    reports = reports_of(place).last()
    assert [report.window_name for report in reports] == [day(13), day(14), day(15)]
    assert [report.num_rows for report in reports] == [ROWS_A_DAY, 0, ROWS_A_DAY]
    assert left.report_sha256s == tuple(report.sha256 for report in reports)
    assert monitor(place.context, WindowRequest(as_of=end_of(15))) == left


def test_a_day_on_which_the_source_rests_is_no_alarm_and_no_window_of_those_that_count(place: Place) -> None:
    resting = resting_on(place, "monday")  # the 14th
    first = resting.live(13, shift=0.6)
    assert kinds(resting.watch(14)) == []
    last = resting.live(15, shift=0.6)
    assert ["x" in [one.column for one in report.columns if one.persistent] for report in (first, last)] == [
        False,
        True,
    ]
    assert reports_of(resting).last() == [first, last]
    decided = decide(resting.context, resting.monitor(14, as_of=end_of(15)))
    assert resting.context.store.read(str(decided.report_key)).decode().count(day(14)) == 0
    assert [report.num_rows for report in reports_of(place).last()] == [ROWS_A_DAY, 0, ROWS_A_DAY]
    assert kinds(place.watch(14)) == [("empty", "critical")]


def test_rows_that_come_on_a_day_of_rest_are_watched_as_usual(place: Place) -> None:
    resting = resting_on(place, "monday")
    assert decide(resting.context, resting.monitor(14)).reasons == ("no window was monitored yet",)
    resting.deliver(14, shift=0.6)
    resting.score(14)
    report = resting.watch(14, as_of=end_of(15))
    assert (report.num_rows, drifted(report)) == (ROWS_A_DAY, ["x"])
    assert reports_of(resting).last() == [report]


def resting_on(place: Place, *days: Any) -> Place:
    """Return the place under a spec whose source rests on these days of the week."""
    found = place.context.spec.monitoring.anomalies.model_copy(update={"resting_days": days})
    return place.changed("monitoring", anomalies=found)


def test_days_that_have_not_ended_are_not_missed(place: Place) -> None:
    place.deliver(13)
    place.score(13)
    window = Window(start=day(13), end=day(20))
    left = monitor(place.context, WindowRequest(window=window, as_of=end_of(14)))
    assert reports_of(place).names == [day(13), day(14)]
    assert len(left.report_keys) == 2


def test_rows_without_a_time_are_no_window_and_an_alarm(place: Place) -> None:
    place.deliver(13)
    with (place.rows / f"{day(13)}.csv").open("a") as file:
        file.write("99,,0.5,0.5,a,yes\n")
    assert {one.name for one in place.score(13).partitions} == {day(13), "undated"}
    report = place.watch(13)
    assert (report.num_rows, kinds(report)) == (ROWS_A_DAY, [("undated_rows", "warning")])
    assert monitor(place.context, WindowRequest(as_of=end_of(13))).report_sha256s == (report.sha256,)
    place.deliver(13, labelled=True, is_reversed=True)
    assert place.watch(13, as_of=end_of(14)).num_labelled == ROWS_A_DAY


def test_only_the_newest_windows_rows_may_be_too_old(place: Place) -> None:
    found = place.context.spec.monitoring.anomalies.model_copy(update={"most_days_old": 1.0})
    place = place.changed("monitoring", anomalies=found)
    assert kinds(place.live(13)) == []
    assert kinds(place.watch(13, as_of=end_of(16))) == [("freshness", "warning")]
    assert kinds(place.live(16)) == []
    assert kinds(place.watch(13, as_of=end_of(16))) == []


def test_of_a_version_that_serves_no_more_the_window_says_so_and_nothing_is_asked(place: Place) -> None:
    place.deliver(13, is_reversed=True)
    place.score(13)
    second_champion(place)
    report = place.watch(13)
    assert (report.champion_version, ("other_champion", "warning") in kinds(report)) == (1, True)
    decided = decide(place.context, place.monitor(13))
    assert (decided.outcome, decided.run_id) == ("none", None)
    assert decided.reasons == (f"window {day(13)} was scored by a version that serves no more",)


def test_after_a_rollback_the_version_that_serves_again_is_watched_by_its_first_evidence(place: Place) -> None:
    second_champion(place)
    place.deliver(13)
    place.score(13)
    roll_back(place.context, 1, "the new one is slow", "ada")
    by_the_second = place.watch(13)
    assert (by_the_second.champion_version, kinds(by_the_second)) == (2, [("other_champion", "warning")])
    place.score(13, as_of=f"{day(14)}T01:00:00+00:00")
    by_the_first = place.watch(13, as_of=end_of(14))
    entry = champion_entry(read_ledger(place.context.store, MODEL))
    assert entry is not None
    assert (by_the_first.champion_version, by_the_first.champion_ledger_sha256) == (1, entry.sha256)
    assert kinds(by_the_first) == []


def test_a_training_profile_that_is_gone_or_of_an_older_format_is_made_again_from_its_rows(place: Place) -> None:
    expected = place.live(13)
    for ref in manifest_of(place).training.train.profiles:
        place.context.store.delete(ref.key)
    for key in [*place.keys("monitoring/windows/"), *place.keys("monitoring/reference/")]:
        place.context.store.delete(key)
    again = place.watch(13)
    assert (again.columns, again.reference) == (expected.columns, expected.reference)


def test_without_training_profiles_and_rows_it_says_so_and_still_measures(place: Place) -> None:
    place.live(13)
    place.deliver(14)
    place.score(14)
    side = manifest_of(place).training.train
    profiles, rows = [ref.key for ref in side.profiles], [partition.key for partition in side.partitions]
    for gone in [*profiles, *rows, *place.keys("monitoring/reference/")]:
        place.context.store.delete(gone)
    report = place.watch(14)
    assert (report.reference, report.columns, report.joint) == ("none", (), None)
    assert [severity for _, severity in kinds(report)] == ["critical"]
    assert auc(report, "measured") is not None


def test_without_a_champion_it_is_refused_with_what_to_do(place: Place) -> None:
    for key in place.keys("ledger/"):
        place.context.store.delete(key)
    with pytest.raises(MonitoringRefused, match=r"no version serves yet.*train a champion first"):
        place.monitor(13)


def test_where_nothing_was_scored_it_is_refused_with_what_to_do(place: Place) -> None:
    with pytest.raises(MonitoringRefused, match=r"no partition was scored by 2013-01-14.*tandem score tiny"):
        monitor(place.context, WindowRequest(as_of=end_of(13)))
    place.deliver(13)
    place.score(13)
    with pytest.raises(MonitoringRefused, match="no partition was scored by 2013-01-10"):
        monitor(place.context, WindowRequest(as_of=end_of(9)))


def test_a_replays_reports_lie_apart_from_the_real_ones(place: Place) -> None:
    place.live(13)
    real = {info.key: info.tag for info in place.context.store.list(f"{MODEL}/monitoring/windows/")}
    place.deliver(14, shift=0.6)
    place.score(14)
    for number in (13, 14):
        replayed = place.monitor(number, replay="r1")
        assert replayed.replay == "r1"
    assert Reports(place.context.within("r1").store, place.context.spec, LATER).names == [day(13), day(14)]
    assert {info.key: info.tag for info in place.context.store.list(f"{MODEL}/monitoring/windows/")} == real
    assert place.newest(place.monitor(13, replay="r2"), "r2") == place.watch(13)


def test_a_replay_sees_answers_that_were_given_before_it_began(place: Place) -> None:
    place.deliver(13)
    place.score(13, as_of="2013-03-01T00:00:00+00:00")
    report = place.newest(place.monitor(13, replay="r1"), "r1")
    assert (report.num_rows, report.num_labelled) == (ROWS_A_DAY, ROWS_A_DAY)


def test_two_who_watch_at_once_leave_one_report(place: Place) -> None:
    place.deliver(13)
    place.score(13)
    meet = threading.Barrier(2)

    def watch(_: int) -> Any:
        meet.wait(timeout=30)
        return place.monitor(13)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(watch, range(2))
    assert first == second
    assert len(place.keys("monitoring/windows/")) == 1


def test_killed_at_any_write_and_run_again_it_leaves_what_it_would_have_left(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.deliver(13, labelled=False)
    place.score(13)
    place.deliver(13)
    asked = WindowRequest(window=Window(start=day(13), end=day(14)), as_of=end_of(13))
    trials = [copy_tiny(tmp_path, tmp_path / f"trial-{number}", monkeypatch) for number in range(KILLS)]
    counting = DeadlyStore(place.context.store, None)
    expected = monitor(replace(place.context, store=counting), asked)
    assert counting.passed >= 2 * KILLS
    for trial, point in zip(trials, np.linspace(0, counting.passed - 1, KILLS, dtype=int), strict=True):
        deadly = replace(trial.context, store=DeadlyStore(trial.context.store, int(point)))
        assert run_in_child(lambda deadly=deadly: monitor(deadly, asked)) == -signal.SIGKILL, point
        assert monitor(trial.context, asked) == expected, point
        assert len(trial.keys("monitoring/windows/")) == 1


def test_a_look_back_is_at_the_world_as_it_was_known_then(place: Place) -> None:
    first = place.live(13)
    place.live(14, shift=0.6)
    again = monitor(place.context, WindowRequest(as_of=end_of(13)))
    assert again.report_sha256s == (first.sha256,)
    assert decide(place.context, again).reasons[0].startswith("measured roc_auc is")
