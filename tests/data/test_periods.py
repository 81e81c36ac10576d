from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from pipelines.data.periods import UNDATED, period_name, periods_of
from pipelines.spec.source import PartitionBy

OPEN = (None, None)


@pytest.mark.parametrize(
    ("by", "names"),
    [("day", ["1969-12-31", "2013-02-28"]), ("month", ["1969-12", "2013-02"]), ("year", ["1969", "2013"])],
)
def test_a_time_lies_in_the_day_month_or_year_it_says(by: PartitionBy, names: list[str]) -> None:
    times = pa.array([datetime(1969, 12, 31, 23, 59, 59), datetime(2013, 2, 28)])

    assert [period_name(period, by, OPEN) for period in periods_of(times, by).tolist()] == names


def test_dates_and_other_units_lie_in_the_same_periods() -> None:
    expected = periods_of(pa.array([datetime(2013, 1, 31, 12)]), "month").tolist()

    assert periods_of(pa.array([date(2013, 1, 31)]), "month").tolist() == expected
    assert periods_of(pa.array([datetime(2013, 1, 31, 12)], pa.timestamp("s")), "month").tolist() == expected


def test_a_time_with_a_zone_lies_where_it_is_in_utc() -> None:
    new_year_in_utc = pa.array([datetime(2013, 1, 1, tzinfo=UTC)]).cast(pa.timestamp("us", "America/New_York"))

    assert period_name(int(periods_of(new_year_in_utc, "year")[0]), "year", OPEN) == "2013"


def test_a_row_without_a_time_is_undated() -> None:
    periods = periods_of(pa.array([None, datetime(2013, 1, 1)]), "month").tolist()

    assert periods[0] == UNDATED
    assert [period_name(period, "month", (datetime(2013, 1, 1), None)) for period in periods] == ["undated", "2013-01"]


def test_a_period_that_the_window_cuts_is_named_by_what_is_left_of_it() -> None:
    window = (datetime(2013, 1, 15), datetime(2013, 3, 1, 12))
    periods = periods_of(pa.array([datetime(2013, month, 1) for month in (1, 2, 3)]), "month").tolist()

    assert [period_name(period, "month", window) for period in periods] == [
        "2013-01-15--2013-02-01",
        "2013-02",
        "2013-03-01--2013-03-01T12:00:00",
    ]


def test_one_partition_of_all_rows_is_named_by_the_window() -> None:
    start, end = datetime(2013, 1, 1), datetime(2014, 1, 1)

    assert period_name(0, "none", OPEN) == "all"
    assert period_name(0, "none", (start, None)) == "from-2013-01-01"
    assert period_name(0, "none", (start, end)) == "2013-01-01--2014-01-01"
