from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from pipelines.data.sources import open_source
from pipelines.errors import DataError, UsageError
from pipelines.records import Window
from pipelines.spec.source import SqlSource

Ask = Callable[..., pa.Table]
JANUARY = Window(start="2013-01-01", end="2013-02-01")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Set the URL, ask the query as a source would, and return its rows."""

    def ask(url: str, query: str, *, window: Window | None = None, **settings: Any) -> pa.Table:
        monkeypatch.setenv("FLIGHTS_URL", url)
        settings = {"time_column": "time", "key_columns": ("row",), **settings}
        source = SqlSource.model_validate({"type": "sql", "url_env": "FLIGHTS_URL", "query": query, **settings})
        return open_source(source, window or Window(), ("row",)).read_all()

    return ask


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    path = tmp_path / "flights.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE flights (row INTEGER, time TEXT, delay REAL, note TEXT)")
        connection.executemany(
            "INSERT INTO flights VALUES (?, ?, ?, ?)",
            [
                (4, "2013-02-01", 4.0, None),
                (2, "2013-01-05T10:00:00", 2.5, None),
                (1, "2013-01-01", None, None),
                (0, "2012-12-31T23:59:59", 0.5, None),
                (3, None, 3.0, "no time"),
            ],
        )
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def flights_in_postgres(postgres_url: str) -> str:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                """
                CREATE TABLE flights AS SELECT
                    n AS row,
                    TIMESTAMP '2013-01-01' + n * INTERVAL '1 hour' AS time,
                    TIMESTAMPTZ '2013-01-01T00:00:00Z' + n * INTERVAL '1 hour' AS zoned,
                    DATE '2013-01-01' + n / 24 AS day,
                    (n / 4.0)::NUMERIC(10, 2) AS price,
                    n % 2 = 0 AS even,
                    CASE WHEN n > 500 THEN n * 1.5::FLOAT8 END AS rarely,
                    NULL::FLOAT8 AS never,
                    jsonb_build_object('n', n) AS document,
                    gen_random_uuid() AS uuid
                FROM generate_series(0, 999) AS n ORDER BY random()
                """
            )
        )
        connection.execute(sa.text("INSERT INTO flights (row) VALUES (1000)"))
    engine.dispose()
    return postgres_url


def test_text_times_are_cut_to_the_window_as_times_and_not_as_letters(ask: Ask, sqlite_url: str) -> None:
    table = ask(sqlite_url, "SELECT * FROM flights;", window=JANUARY)

    assert sorted(table["row"].to_pylist()) == [1, 2, 3]
    assert table["time"].to_pylist().count(datetime(2013, 1, 1)) == 1


def test_rows_come_in_order_of_time_and_key_whatever_the_table_says(ask: Ask, sqlite_url: str) -> None:
    forth = ask(sqlite_url, "SELECT * FROM flights")
    back = ask(sqlite_url, "SELECT * FROM flights ORDER BY delay DESC")

    assert forth.equals(back)
    assert [row for row in forth["row"].to_pylist() if row != 3] == [0, 1, 2, 4]


def test_a_column_that_starts_with_nulls_takes_the_type_of_its_first_value(ask: Ask, sqlite_url: str) -> None:
    table = ask(sqlite_url, "SELECT * FROM flights", batch_rows=1, time_column=None, partition_by="none")

    assert table.schema.field("note").type == pa.string()
    assert table.schema.field("delay").type == pa.float64()
    assert table["note"].to_pylist().count("no time") == 1


def test_a_query_may_use_the_windows_bounds_itself(ask: Ask, sqlite_url: str) -> None:
    table = ask(sqlite_url, "SELECT * FROM flights WHERE date(time) >= date(:start)", window=Window(start="2013-01-03"))

    assert table["row"].to_pylist() == [2, 4]


def test_a_value_that_does_not_fit_its_column_is_named(ask: Ask, sqlite_url: str) -> None:
    query = "SELECT row, time, CASE WHEN row < 2 THEN row ELSE 'many' END AS mixed FROM flights"

    with pytest.raises(
        DataError, match=r"Query on FLIGHTS_URL, column 'mixed': found .*expected.*use CAST in the query"
    ):
        ask(sqlite_url, query, batch_rows=1)
    with pytest.raises(DataError, match=r"column 'mixed': found values of several types \(int, str\), expected one"):
        ask(sqlite_url, query)


def test_postgres_gives_its_types_and_only_the_window(ask: Ask, flights_in_postgres: str) -> None:
    table = ask(flights_in_postgres, "SELECT * FROM flights", window=Window(start="2013-01-02", end="2013-01-03"))
    first = table.slice(0, 1).to_pylist()[0]

    assert table["row"].to_pylist() == [*range(24, 48), 1000]
    assert first | {"uuid": None} == {
        "row": 24,
        "time": datetime(2013, 1, 2),
        "zoned": datetime(2013, 1, 2, tzinfo=UTC),
        "day": date(2013, 1, 2),
        "price": 6.0,
        "even": True,
        "rarely": None,
        "never": None,
        "document": '{"n": 24}',
        "uuid": None,
    }
    assert table.schema.field("rarely").type == pa.float64()


@pytest.mark.parametrize("column", ["zoned", "day"])
def test_postgres_cuts_zoned_times_and_dates_at_the_same_bounds(
    ask: Ask, flights_in_postgres: str, column: str
) -> None:
    options = "&options=-c%20timezone%3DAmerica/New_York"  # the session's zone must not matter
    window = Window(start="2013-01-02", end="2013-01-03")
    table = ask(flights_in_postgres + options, "SELECT * FROM flights", window=window, time_column=column)

    assert table["row"].to_pylist() == [*range(24, 48), 1000]


def test_the_server_streams_so_that_batches_are_small(
    flights_in_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLIGHTS_URL", flights_in_postgres)
    source = SqlSource(
        type="sql", url_env="FLIGHTS_URL", query="SELECT row, time FROM flights", time_column="time", batch_rows=300
    )
    reader = open_source(source, Window(), ["row"])
    engine = sa.create_engine(flights_in_postgres)
    first = reader.read_next_batch()
    with engine.connect() as connection:
        cursors = (
            connection.execute(sa.text("SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction'"))
            .scalars()
            .all()
        )
    engine.dispose()

    assert [first.num_rows, *(batch.num_rows for batch in reader)] == [300, 300, 300, 101]
    assert len(cursors) == 1
    assert cursors[0].startswith("FETCH FORWARD ")


def test_a_query_that_fails_says_why(ask: Ask, sqlite_url: str) -> None:
    with pytest.raises(
        DataError, match=r"The query on FLIGHTS_URL failed: no such table: flight\. Nothing was ingested"
    ):
        ask(sqlite_url, "SELECT * FROM flight")


def test_a_database_that_does_not_answer_is_a_data_error_without_the_password(ask: Ask, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="The query on FLIGHTS_URL failed") as caught:
        ask(f"postgresql+psycopg2://user:secret@/flights?host={tmp_path}", "SELECT 1")
    assert "secret" not in str(caught.value)


def test_a_url_that_is_missing_or_none_is_named_by_its_variable_alone(ask: Ask) -> None:
    for url in ("", "secret", "nosuchdatabase://user:secret@host/db"):
        with pytest.raises(UsageError, match="FLIGHTS_URL") as caught:
            ask(url, "SELECT 1")
        assert "secret" not in str(caught.value)


def test_columns_that_are_missing_or_stand_twice_are_refused(ask: Ask, flights_in_postgres: str) -> None:
    with pytest.raises(DataError, match=r"query on FLIGHTS_URL: 'row' is missing \(is it 'rows'\?\)"):
        ask(flights_in_postgres, "SELECT row AS rows, time FROM flights", key_columns=())
    with pytest.raises(DataError, match="2 columns whose names are the same but for case: 'row', 'row'"):
        ask(
            flights_in_postgres,
            "SELECT row, row, time FROM flights",
            time_column=None,
            partition_by="none",
            key_columns=(),
        )


def test_a_query_without_rows_says_so(ask: Ask, sqlite_url: str) -> None:
    with pytest.raises(DataError, match="query on FLIGHTS_URL gave no rows"):
        ask(sqlite_url, "SELECT * FROM flights WHERE row > 9")
