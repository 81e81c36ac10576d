from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.data.sources.flights import read_flights
from pipelines.records import Window
from pipelines.spec import load_model

FIRST_QUARTER = Window(start="2013-01-01", end="2013-04-01")


@pytest.fixture(scope="module")
def flights() -> pa.Table:
    return read_flights(FIRST_QUARTER).read_all()


def test_the_first_quarter_has_every_flight_once(flights: pa.Table) -> None:
    key = load_model("flight_delay").source.key_columns

    assert flights.num_rows == 80_789
    assert flights.group_by(list(key)).aggregate([]).num_rows == 80_789


def test_every_column_that_the_spec_names_is_there(flights: pa.Table) -> None:
    spec = load_model("flight_delay")
    named = {spec.source.time_column, *spec.source.key_columns, *spec.training.features, *spec.training.leak_columns}

    assert named | {spec.training.target} <= set(flights.column_names)


def test_rows_are_ordered_by_departure_and_the_same_each_time(flights: pa.Table) -> None:
    departures = flights["scheduled_departure"].to_pylist()

    assert departures == sorted(departures)
    assert flights.equals(read_flights(FIRST_QUARTER).read_all())


def test_late_means_more_than_fifteen_minutes_and_is_unknown_for_a_flight_that_never_arrived(flights: pa.Table) -> None:
    by_delay = dict(zip(flights["arr_delay"].to_pylist(), flights["late"].to_pylist(), strict=True))

    assert (by_delay[15], by_delay[16], by_delay[None]) == (False, True, None)
    assert flights["late"].null_count == 2_878


def test_scheduled_minutes_count_time_zones_and_midnight(flights: pa.Table) -> None:
    minutes = flights["scheduled_minutes"]
    flown = flights.filter(pc.is_valid(flights["air_time"]))
    on_ground = pc.subtract(flown["scheduled_minutes"], flown["air_time"]).to_pylist()

    assert minutes.null_count == 0
    assert pc.min_max(minutes).as_py() == {"min": 53, "max": 700}
    assert sorted(on_ground)[len(on_ground) // 2] == pytest.approx(35, abs=5)  # taxi time and slack


def test_nearly_every_flight_finds_the_weather_of_its_hour(flights: pa.Table) -> None:
    first = flights.filter(pc.equal(flights["flight"], 1545)).slice(0, 1).to_pylist()[0]

    assert flights["visibility"].null_count == 81
    assert (first["temperature"], first["plane_year"], first["plane_seats"]) == (39.02, 1999, 149)


def test_an_open_window_has_the_whole_year() -> None:
    assert sum(batch.num_rows for batch in read_flights(Window())) == 336_776
