"""Of many reports only the last are read, and what the older ones say of labels is read once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.errors import IntegrityError
from pipelines.monitoring.windows import MOST_WINDOWS
from pipelines.records import MonitoringReport
from pipelines.spec import ModelSpec, load_model
from pipelines.steps.reports import Reports, report_key
from pipelines.store.base import ObjectInfo
from pipelines.store.memory import MemoryStore
from tests.monitoring.histories import silent

LATER = datetime(2013, 12, 1, tzinfo=UTC)
NUM_DAYS = 60
SINCE = datetime(2013, 1, 11)


class CountingStore(MemoryStore):
    """A store in memory that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.lists = 0

    def read(self, key: str) -> bytes:
        self.reads += 1
        return super().read(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.lists += 1
        return super().list(prefix)


@pytest.fixture
def spec() -> ModelSpec:
    found = load_model("flight_delay")
    return found.model_copy(update={"source": found.source.model_copy(update={"partition_by": "day"})})


@pytest.fixture
def store(spec: ModelSpec) -> CountingStore:
    """Sixty days of reports: each day has as many labelled rows as its number, the first reports knew of none."""
    store = CountingStore()
    for number in range(1, NUM_DAYS + 1):
        for report in (made(number, 0), made(number, number, days_later=3)):
            store.write(report_key(report), report.to_bytes())
    return store


def name_of(number: int) -> str:
    return (date(2013, 1, 1) + timedelta(days=number - 1)).isoformat()


def made(number: int, num_labelled: int, days_later: int = 0, num_rows: int = 99) -> MonitoringReport:
    return silent(name_of(number)).model_copy(
        update={
            "model": "flight_delay",
            "as_of": f"{name_of(number + 1 + days_later)}T00:00:00+00:00",
            "num_rows": num_rows,
            "num_labelled": num_labelled,
        }
    )


def test_the_last_windows_newest_reports_are_read_and_no_others(spec: ModelSpec, store: CountingStore) -> None:
    reports = Reports(store, spec, LATER)
    assert len(reports.names) == NUM_DAYS
    last = reports.last()
    assert [report.window_name for report in last] == [name_of(number) for number in range(30, 61)]
    assert {report.num_labelled for report in last} == set(range(30, 61))
    assert (store.reads, store.lists) == (MOST_WINDOWS, 1)
    assert reports.last(name_of(61)) == last
    assert reports.last(name_of(32), most=2) == [made(30, 30, 3), made(31, 31, 3)]
    assert store.reads == MOST_WINDOWS


def test_as_many_windows_are_read_as_k_of_n_asks_for(spec: ModelSpec, store: CountingStore) -> None:
    rule = spec.monitoring.drift.persistence.model_copy(update={"windows": 50})
    drift = spec.monitoring.drift.model_copy(update={"persistence": rule})
    patient = spec.model_copy(update={"monitoring": spec.monitoring.model_copy(update={"drift": drift})})
    assert len(Reports(store, patient, LATER).last()) == 50


def test_reports_that_were_made_later_do_not_count(spec: ModelSpec, store: CountingStore) -> None:
    reports = Reports(store, spec, datetime(2013, 1, 6, tzinfo=UTC))
    assert reports.names == [name_of(number) for number in range(1, 6)]
    assert [report.num_labelled for report in reports.last()] == [1, 2, 0, 0, 0]
    assert reports.made_of([name_of(2), name_of(5)]) == [made(2, 0), made(2, 2, 3), made(5, 0)]
    assert reports.newest(name_of(6)) is None


def test_labels_of_older_windows_are_counted_from_what_an_earlier_look_kept(
    spec: ModelSpec, store: CountingStore
) -> None:
    expected = sum(range(11, NUM_DAYS))
    assert Reports(store, spec, LATER).num_labelled(name_of(NUM_DAYS), SINCE) == expected
    tags = {info.key: info.tag for info in store.list()}
    store.reads = 0
    again = Reports(store, spec, LATER)
    again.last()
    assert again.num_labelled(name_of(NUM_DAYS), SINCE) == expected
    assert store.reads == MOST_WINDOWS + 1
    assert {info.key: info.tag for info in store.list()} == tags
    assert again.num_labelled(name_of(NUM_DAYS), None) == sum(range(1, NUM_DAYS))


def test_labels_that_come_for_a_window_long_past_count(spec: ModelSpec, store: CountingStore) -> None:
    Reports(store, spec, LATER).num_labelled(name_of(NUM_DAYS), SINCE)
    late = made(12, 1_000, days_later=90)
    store.write(report_key(late), late.to_bytes())
    expected = sum(range(11, NUM_DAYS)) - 12 + 1_000
    assert Reports(store, spec, LATER).num_labelled(name_of(NUM_DAYS), SINCE) == expected
    before = Reports(store, spec, datetime(2013, 3, 10, tzinfo=UTC))
    assert before.num_labelled(name_of(NUM_DAYS), SINCE) == expected - 1_000 + 12
    store.reads = 0
    assert Reports(store, spec, LATER).num_labelled(name_of(NUM_DAYS), SINCE) == expected
    assert store.reads == 1


def test_a_report_that_is_added_is_stored_once_and_is_the_newest(spec: ModelSpec, store: CountingStore) -> None:
    reports, report = Reports(store, spec, LATER), made(NUM_DAYS, 500, days_later=9)
    assert reports.add(report) == reports.add(report) == report_key(report)
    assert reports.newest(name_of(NUM_DAYS)) == report
    assert reports.num_labelled(name_of(NUM_DAYS + 1), datetime(2013, 3, 1)) == 500
    assert Reports(store, spec, LATER).newest(name_of(NUM_DAYS)) == report


def test_an_empty_day_of_rest_is_left_out_and_another_window_is_read_for_it(
    spec: ModelSpec, store: CountingStore
) -> None:
    anomalies = spec.monitoring.anomalies.model_copy(update={"resting_days": ("friday",)})
    resting = spec.model_copy(update={"monitoring": spec.monitoring.model_copy(update={"anomalies": anomalies})})
    assert len(Reports(store, resting, LATER).last(most=7)) == 7
    empty = made(60, 0, days_later=9, num_rows=0)  # the first of March, a Friday
    store.write(report_key(empty), empty.to_bytes())
    names = [report.window_name for report in Reports(store, resting, LATER).last(most=7)]
    assert names == [name_of(number) for number in range(53, 60)]
    assert Reports(store, spec, LATER).last(most=1) == [empty]


def test_a_report_that_was_altered_is_refused(spec: ModelSpec, store: CountingStore) -> None:
    key = report_key(made(12, 12, days_later=3))
    store.write(key, made(12, 13, days_later=3).to_bytes())
    with pytest.raises(IntegrityError, match=name_of(12)):
        Reports(store, spec, LATER).num_labelled(name_of(NUM_DAYS), SINCE)


def test_of_two_reports_of_one_moment_the_later_made_is_the_newest_and_the_first_one_again_is_newer_still(
    spec: ModelSpec, store: CountingStore
) -> None:
    first, second = (made(NUM_DAYS, 7, days_later=9, num_rows=number) for number in (1, 2))
    for each in (first, second, second, first, *(first, second) * 6):
        Reports(store, spec, LATER).add(each)
        assert Reports(store, spec, LATER).newest(each.window_name) == each
    assert len(Reports(store, spec, LATER).made_of([first.window_name])) == 2 + 2 + 1 + 11
