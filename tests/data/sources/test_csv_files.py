from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipelines.errors import DataError, UsageError
from pipelines.records import Window

Read = Callable[..., pa.Table]


def test_files_are_read_in_order_of_their_names_whatever_the_order_of_their_columns(read: Read) -> None:
    table = read({"b.csv": "delay,time\n3,2013-01-03\n", "a.csv": "time,delay\n2013-01-01,1\n2013-01-02,2\n"})

    assert table["delay"].to_pylist() == [1, 2, 3]
    assert table["time"].to_pylist() == [datetime(2013, 1, day) for day in (1, 2, 3)]


def test_only_rows_of_the_window_and_those_without_a_time_come_out(read: Read) -> None:
    table = read(
        {"a.csv": "time,row\n2012-12-31,0\n2013-01-01,1\n,2\n2013-02-01,3\n"},
        window=Window(start="2013-01-01", end="2013-02-01"),
    )

    assert table["row"].to_pylist() == [1, 2]


def test_types_that_the_spec_gives_are_kept(read: Read) -> None:
    table = read(
        {"a.csv": "time,flight,delay\n2013-01-01,0042,1\n"}, column_types={"flight": "VARCHAR", "delay": "DOUBLE"}
    )

    assert table.schema.field("delay").type == pa.float64()
    assert table["flight"].to_pylist() == ["0042"]


def test_texts_that_mean_missing_are_null(read: Read) -> None:
    table = read({"a.csv": "time,delay\n2013-01-01,NA\n2013-01-02,2\n2013-01-03,\n"}, null_values=("", "NA"))

    assert table["delay"].to_pylist() == [None, 2, None]


def test_infinity_passes_on_as_a_number(read: Read) -> None:
    lines = "time,delay,carrier\n2013-01-01,inf,AA\n2013-01-02,-Infinity,UA\n2013-01-03,1.5,B6\n"

    assert read({"a.csv": lines})["delay"].to_pylist() == [math.inf, -math.inf, 1.5]
    assert read({"a.csv": lines}, column_types={"delay": "DOUBLE"})["delay"].to_pylist() == [math.inf, -math.inf, 1.5]


def test_a_column_of_nothing_but_nulls_passes_on(read: Read) -> None:
    table = read({"a.csv": "time,delay,note\n2013-01-01,1,\n2013-01-02,2,\n"}, required=("time", "note"))

    assert table["note"].to_pylist() == [None, None]


def test_quotes_line_breaks_comments_byte_order_marks_and_compression_lose_nothing(read: Read) -> None:
    text = '\ufefftime,note\r\n2013-01-01,"a, ""b""\r\nc"\r\n2013-01-02,#d\r\n'

    assert read({"a.csv": text})["note"].to_pylist() == ['a, "b"\r\nc', "#d"]
    assert read({"a.csv": "note,time\n#a,2013-01-01\n"})["note"].to_pylist() == ["#a"]
    assert read({"a.csv.gz": gzip.compress(text.encode()), "a.csv": text}).num_rows == 4


def test_times_with_zones_become_utc(read: Read) -> None:
    table = read({"a.csv": "time\n2013-01-01T12:00:00+02:00\n2013-01-01T12:00:00Z\n"})

    assert table["time"].to_pylist() == [datetime(2013, 1, 1, 10, tzinfo=UTC), datetime(2013, 1, 1, 12, tzinfo=UTC)]


def test_an_empty_file_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.csv is empty \(0 bytes\); expected csv data\. Nothing was ingested"):
        read({"a.csv": "time\n2013-01-01\n", "b.csv": ""})


def test_a_header_without_rows_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.csv: found a header and no rows; expected at least one row"):
        read({"a.csv": "time,delay\n"})


def test_a_wrong_delimiter_is_told_from_the_header(read: Read) -> None:
    with pytest.raises(DataError, match=r"looks delimited by ';', but source.delimiter is ','"):
        read({"a.csv": "time;delay\n2013-01-01;1\n"}, required=("time", "delay"))
    assert read({"a.csv": "time;delay\n2013-01-01;1\n"}, delimiter=";").num_rows == 1


@pytest.mark.parametrize(
    "content",
    [
        b"time,note\n2013-01-01,caf\xe9\n",
        b"time,caf\xe9\n2013-01-01,x\n",
        b"time,note\n" + b"2013-01-01,x\n" * 30_000 + b"2013-01-01,caf\xe9\n",
        "time,note\n2013-01-01,x\n".encode("utf-16"),
    ],
    ids=["in a row", "in the header", "far behind", "UTF-16"],
)
def test_bytes_that_are_not_utf8_are_refused(read: Read, content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.csv.* not UTF-8; expected text in UTF-8"):
        read({"a.csv": content})


def test_the_line_of_a_byte_that_is_not_utf8_is_named(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 30002 holds bytes"):
        read({"a.csv": b"time,note\n" + b"2013-01-01,x\n" * 30_000 + b"2013-01-01,caf\xe9\n"})


def test_a_missing_column_is_named_with_the_nearest_one(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.csv: 'delay' is missing \(is it 'dellay'\?\)"):
        read(
            {"a.csv": "time,delay\n2013-01-01,1\n", "b.csv": "time,dellay\n2013-01-01,1\n"}, required=("time", "delay")
        )


def test_a_missing_time_column_is_named(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.csv: 'time' is missing \(is it 'Time'\?\)"):
        read({"a.csv": "Time,delay\n2013-01-01,1\n"})


def test_a_value_of_another_type_is_named_with_line_and_column(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.csv, line 3, column 'delay': found 'late', expected DOUBLE\. Nothing"):
        read(
            {"a.csv": "time,delay\n2013-01-01,1\n", "b.csv": "time,delay\n2013-01-01,1\n2013-01-02,late\n"},
            column_types={"delay": "DOUBLE"},
        )


def test_a_value_that_contradicts_a_guessed_type_says_how_to_give_one(read: Read) -> None:
    with pytest.raises(
        DataError, match=r"line 30002, column 'delay': found 'x', expected BIGINT; give the column a type"
    ):
        read({"a.csv": "time,delay\n" + "2013-01-01,1\n" * 30_000 + "2013-01-02,x\n"})


def test_names_that_stand_twice_are_refused(read: Read) -> None:
    with pytest.raises(
        DataError, match=r"a\.csv has 2 columns whose names are the same but for case: 'delay', 'Delay'"
    ):
        read({"a.csv": "time,delay,Delay\n2013-01-01,1,2\n"})


def test_files_with_other_columns_are_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.csv has 'gate' on top, lacks 'delay'; expected the columns of .*a\.csv"):
        read({"a.csv": "time,delay\n2013-01-01,1\n", "b.csv": "time,gate\n2013-01-01,1\n"})


def test_mixed_time_zones_are_refused(read: Read) -> None:
    with pytest.raises(DataError, match="mixes times with and without a zone: found '2013-01-02T12:00:00Z'"):
        read({"a.csv": "time\n2013-01-01T12:00:00\n", "b.csv": "time\n2013-01-02T12:00:00Z\n"})


@pytest.mark.parametrize(("row", "found"), [("2013-01-02", 1), ("2013-01-02,1,2", 3)])
def test_a_row_with_too_few_or_too_many_values_is_named(read: Read, row: str, found: int) -> None:
    with pytest.raises(DataError, match=rf"a\.csv, line 3: found {found} values, expected 2"):
        read({"a.csv": f"time,delay\n2013-01-01,1\n{row}\n"})


def test_a_quote_without_its_end_is_named(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 2: found a quoted value without its end"):
        read({"a.csv": 'time,delay\n2013-01-01,"1\n2013-01-02,2\n'})


def test_a_type_that_does_not_exist_is_the_specs_mistake(read: Read) -> None:
    with pytest.raises(UsageError, match="names the type 'DOUBEL'"):
        read({"a.csv": "time,delay\n2013-01-01,1\n"}, column_types={"delay": "DOUBEL"})
