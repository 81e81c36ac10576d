from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
import pytest

from pipelines.errors import DataError

Read = Callable[..., pa.Table]


def test_lines_become_rows_and_a_key_that_is_left_out_is_null(read: Read) -> None:
    table = read({"a.jsonl": '{"time": "2013-01-01T10:00:00", "delay": 1.5}\n{"time": "2013-01-02"}\n'})

    assert table["time"].to_pylist() == [datetime(2013, 1, 1, 10), datetime(2013, 1, 2)]
    assert table["delay"].to_pylist() == [1.5, None]


def test_infinity_passes_on_as_a_number(read: Read) -> None:
    table = read({"a.jsonl": '{"time": "2013-01-01", "delay": Infinity}\n{"time": "2013-01-02", "delay": 1}\n'})

    assert table["delay"].to_pylist() == [math.inf, 1.0]


def test_a_line_that_is_cut_off_is_named(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl, line 2 cannot be read: .*Malformed JSON at byte 16"):
        read({"a.jsonl": '{"time": "2013-01-01"}\n{"time": "2013-'})


@pytest.mark.parametrize("text", ["a \\ud800 b", "\\udc00", "\\ud83dx", "\\ud83d\\ude00\\ud800\\ud83d\\ude00"])
@pytest.mark.parametrize("num_before", [1, 30_000])
def test_half_of_a_surrogate_pair_is_refused_and_its_line_named(text: str, num_before: int, read: Read) -> None:
    good = '{"time": "2013-01-01", "note": "good"}\n'
    with pytest.raises(DataError, match=rf"a\.jsonl, line {num_before + 1} holds one half of a surrogate pair"):
        read({"a.jsonl": f'{good * num_before}{{"time": "2013-01-02", "note": "{text}"}}\n{good}'})


def test_both_halves_of_a_surrogate_pair_are_a_character(read: Read) -> None:
    line = '{"time": "2013-01-01", "note": "\\ud83d\\ude00, and \\\\ud800 in words"}\n'
    assert read({"a.jsonl": line})["note"].to_pylist() == ["\U0001f600, and \\ud800 in words"]


def test_bytes_that_are_not_utf8_are_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl.* not UTF-8"):
        read({"a.jsonl": b'{"time": "2013-01-01", "note": "caf\xe9"}\n'})


def test_a_key_that_stands_twice_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r'a\.jsonl, line 1 cannot be read: .*duplicate key "delay"'):
        read({"a.jsonl": '{"time": "2013-01-01", "delay": 1, "delay": 2}\n'})


def test_a_file_that_lacks_a_column_is_named_although_another_has_it(read: Read) -> None:
    with pytest.raises(DataError, match=r"b\.jsonl: 'delay' is missing"):
        read(
            {"a.jsonl": '{"time": "2013-01-01", "delay": 1}\n', "b.jsonl": '{"time": "2013-01-01"}\n'},
            required=("time", "delay"),
        )


def test_values_of_several_types_in_a_required_column_are_refused(read: Read) -> None:
    lines = '{"time": "2013-01-01", "delay": 1}\n{"time": "2013-01-02", "delay": "late"}\n'

    with pytest.raises(DataError, match=r"a\.jsonl: 'delay' holds values of several types"):
        read({"a.jsonl": lines}, required=("time", "delay"))
    with pytest.raises(
        DataError, match=r'a\.jsonl, line 2 cannot be read: .*Failed to cast value to numerical: "late"'
    ):
        read({"a.jsonl": lines}, column_types={"delay": "DOUBLE"})


def test_lines_that_are_no_objects_have_no_columns(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: 'time' is missing"):
        read({"a.jsonl": "[1, 2]\n"})


def test_an_empty_file_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl is empty"):
        read({"a.jsonl": ""})
