from __future__ import annotations

import pytest

from pipelines.data.sources import described_source, open_source
from pipelines.errors import DataError, UsageError
from pipelines.records import Window
from pipelines.spec import load_model
from pipelines.spec.source import FilesSource, PythonSource, SqlSource

FLIGHTS = load_model("flight_delay").source


def test_each_source_is_described_without_secrets() -> None:
    assert described_source(FLIGHTS) == "function pipelines.data.sources.flights:read_flights"
    assert (
        described_source(FilesSource(type="files", paths=("a/*.csv", "b.csv"), format="csv"))
        == "csv files a/*.csv, b.csv"
    )
    assert described_source(SqlSource(type="sql", url_env="FLIGHTS_URL", query="SELECT 1")) == "query on FLIGHTS_URL"


def test_a_required_column_that_the_source_does_not_give_is_named() -> None:
    with pytest.raises(
        DataError, match=r"read_flights: 'tail' is missing.*\. Found the columns 'scheduled_departure', "
    ):
        open_source(FLIGHTS, Window(start="2013-01-01", end="2013-01-02"), ["carrier", "tail"])


def test_partitions_by_time_need_a_time_column() -> None:
    source = PythonSource(type="python", callable="a:b", partition_by="month")

    with pytest.raises(UsageError, match=r"partition_by is 'month', which needs a source\.time_column"):
        open_source(source, Window(), [])


def test_a_wrong_window_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UsageError, match="window's start"):
        open_source(
            PythonSource(type="python", callable="no.such:function", partition_by="none"), Window(start="x"), []
        )
