"""A row's key has one text, whatever machine, engine or integer width it comes by."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from pipelines.data.keys import key_text, without_text
from pipelines.errors import DataError


def texts(rows: pa.Table, *columns: str) -> list[str]:
    expression = key_text(rows.schema, columns or rows.column_names)
    return [row[0] for row in duckdb.sql(f"SELECT {expression} FROM rows").fetchall()]


@pytest.mark.parametrize(
    ("values", "kinds", "text"),
    [
        ([7], [pa.int8(), pa.int64(), pa.uint16(), pa.float64(), pa.float32(), pa.decimal128(9, 2)], "1:7"),
        ([-7], [pa.int32(), pa.float64()], "2:-7"),
        (["é"], [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], "2:é"),
        ([""], [pa.string()], "0:"),
        ([None], [pa.string(), pa.int64(), pa.float64(), pa.timestamp("us"), pa.null()], "-"),
        ([True], [pa.bool_()], "4:true"),
        (
            [dt.datetime(2013, 1, 1)],
            [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "UTC")],
            "16:1356998400000000",
        ),
        ([dt.date(2013, 1, 1)], [pa.date32(), pa.date64()], "16:1356998400000000"),
        ([dt.datetime(1960, 1, 1)], [pa.timestamp("us")], "16:-315619200000000"),
    ],
)
def test_a_value_has_one_text_in_every_type_that_can_hold_it(values: list, kinds: list, text: str) -> None:
    for kind in kinds:
        converted = [Decimal(values[0])] if pa.types.is_decimal(kind) else values
        column = pa.array(converted).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(converted)
        assert texts(pa.table({"k": column.cast(kind)})) == [text], kind


def test_the_same_instant_in_another_time_zone_has_the_same_text() -> None:
    instant = pa.array([dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))
    assert texts(pa.table({"k": instant})) == texts(pa.table({"k": instant.cast(pa.timestamp("us", "Asia/Tokyo"))}))


def test_no_two_keys_of_several_columns_share_a_text() -> None:
    keys = [
        ("a", "b:c"),
        ("a1", ":"),
        ("", "a"),
        ("a", ""),
        (None, "a"),
        ("a", None),
        ("-", ""),
        ("1:a", ""),
        ("ab", "c"),
    ]
    table = pa.table({"k": [first for first, _ in keys], "l": [second for _, second in keys]})
    assert len(set(texts(table))) == len(keys)


def test_a_column_name_cannot_break_out_of_the_query() -> None:
    assert texts(pa.table({'k" || (SELECT 1) || "': ["v"]})) == ["1:v"]


def test_a_missing_key_column_is_named() -> None:
    with pytest.raises(DataError, match=r"Key column 'id' is not in the data: it has \['k'\]"):
        key_text(pa.schema({"k": pa.int64()}), ["id"])


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.binary(), pa.struct({"a": pa.int64()}), pa.duration("s")])
def test_a_type_without_one_text_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match="a key must be text, whole numbers, booleans, dates or times"):
        key_text(pa.schema({"k": kind}), ["k"])


def test_fractions_nan_and_infinity_are_seen_to_have_no_text() -> None:
    rows = pa.table({"k": [1.0, None, 0.5, float("nan"), float("inf"), 2.0**60]})
    found = duckdb.sql(f"SELECT {without_text(rows.schema, ['k'])} FROM rows").fetchall()
    assert rows.num_rows == len(found)
    assert [row[0] for row in found] == [False, False, True, True, True, True]
