from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.quality import pictures
from pipelines.data.quality.pictures import Picture, draw, sample


def drawn(with_rows: Callable[..., Any], table: pa.Table, num_parts: int = 1) -> dict[str, Picture]:
    parts = [table.slice(part * table.num_rows // num_parts, table.num_rows // num_parts) for part in range(num_parts)]
    found = with_rows(parts, lambda rows: draw(rows, sample(rows)))
    return {picture.column: picture for picture in found}


def test_many_numbers_make_a_histogram_and_few_values_make_bars(with_rows: Callable[..., Any]) -> None:
    table = pa.table({"many": [*range(50), 49], "few": [1, 2, 2] * 17, "text": ["a", "b", "b"] * 17})
    found = drawn(with_rows, table)

    assert found["many"].shape == "histogram"
    assert (found["many"].low, found["many"].high) == ("0", "49")
    assert sum(bar.num_rows for bar in found["many"].bars) == 51
    assert max(bar.height for bar in found["many"].bars) == 1.0
    assert [(bar.label, bar.num_rows) for bar in found["few"].bars] == [("2", 34), ("1", 17)]
    assert found["text"].bars[0].height == pytest.approx(2 / 3)


def test_a_category_of_ten_thousand_levels_shows_the_most_frequent_five(with_rows: Callable[..., Any]) -> None:
    levels = [f"level {number}" for number in range(10_000)]
    found = drawn(with_rows, pa.table({"c": levels + ["level 7"] * 3}))["c"]

    assert len(found.bars) == 5
    assert found.bars[0].label == "level 7"
    assert found.note == "and 9,995 other values"


def test_infinite_values_are_left_out_and_named(with_rows: Callable[..., Any]) -> None:
    table = pa.table({"f": [*map(float, range(20)), math.inf, -math.inf, math.nan], "i": [math.inf] * 23})
    found = drawn(with_rows, table)

    assert found["f"].shape == "histogram"
    assert found["f"].note == "3 values of the sample are infinite or not a number"
    assert [bar.label for bar in found["i"].bars] == ["inf"]


def test_missing_values_are_counted_in_all_rows_and_a_column_of_them_has_no_picture(
    with_rows: Callable[..., Any],
) -> None:
    table = pa.table({"a": [None, 1, 2, None], "gone": pa.nulls(4, pa.float64()), "nothing": pa.nulls(4)})
    found = drawn(with_rows, table, num_parts=2)

    assert found["a"].missing_share == 0.5
    assert (found["gone"].shape, found["gone"].missing_share) == ("empty", 1.0)
    assert found["gone"].note == "every value is missing"
    assert found["nothing"].shape == "empty"


def test_times_and_dates_make_histograms_between_their_ends(with_rows: Callable[..., Any]) -> None:
    days = [datetime.datetime(2013, 1, 1) + datetime.timedelta(days=number) for number in range(31)]
    found = drawn(with_rows, pa.table({"t": days, "d": [day.date() for day in days]}))

    for column in ("t", "d"):
        assert (found[column].low, found[column].high) == ("2013-01-01 00:00", "2013-01-31 00:00")


def test_types_that_cannot_be_drawn_are_named_without_a_picture(with_rows: Callable[..., Any]) -> None:
    found = drawn(with_rows, pa.table({"l": [[1], [2, 3]], "b": [b"x", None]}))

    assert [picture.shape for picture in found.values()] == ["empty", "empty"]
    assert found["l"].type == "list<element: int64>"


def test_the_sample_is_bounded_spread_and_the_same_each_time(
    with_rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SAMPLE_ROWS", 100)
    parts = [pa.table({"n": range(1000 * part, 1000 * (part + 1))}) for part in range(10)]
    first, second = with_rows(parts, lambda rows: (sample(rows), sample(rows)))

    assert first.equals(second)
    assert 50 <= first.num_rows <= 100
    assert len({value // 1000 for value in first["n"].to_pylist()}) >= 5


def test_no_rows_have_pictures_without_bars(with_rows: Callable[..., Any]) -> None:
    found = drawn(with_rows, pa.table({"n": pa.array([], pa.int64()), "s": pa.array([], pa.string())}))

    assert [(picture.shape, picture.missing_share) for picture in found.values()] == [("empty", 0.0), ("empty", 0.0)]
