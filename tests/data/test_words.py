"""Words are counted once a text, whatever the script, and cost nothing where a column is no writing."""

from __future__ import annotations

from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.parquet import ROW_GROUP_ROWS
from pipelines.data.profiles import ColumnProfile, merge_profiles
from pipelines.data.profiling import profile_table
from pipelines.data.sketches import WordSketch
from pipelines.data.words import count_words, is_writing
from pipelines.records import sha256_of


def counted(*texts: str) -> dict[str, int]:
    found = count_words(pa.array(texts, pa.large_string()), np.ones(len(texts), np.int64))
    return dict(found.top(1_000))


def column(texts, writing: bool = False) -> ColumnProfile:
    return profile_table(pa.table({"x": pa.array(texts, pa.string())}), ["x"] if writing else []).column("x")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("To be or not to be.",), {"to": 1, "be": 1, "or": 1, "not": 1}),
        (("What does `os.path.join` do?", "WHAT?"), {"what": 2, "does": 1, "os": 1, "path": 1, "join": 1, "do": 1}),
        (("Straße, Ärger; cafe\u0301", "café"), {"straße": 1, "ärger": 1, "café": 2}),
        (("snake_case 3.11",), {"snake": 1, "case": 1, "3": 1, "11": 1}),
        (("東京都 is Tokyo",), {"東": 1, "京": 1, "都": 1, "is": 1, "tokyo": 1}),
        (("", "...", "\n"), {}),
    ],
)
def test_a_text_counts_each_of_its_words_once(texts: tuple[str, ...], expected: dict[str, int]) -> None:
    assert {normalize("NFC", word): rows for word, rows in counted(*texts).items()} == expected


def test_a_text_that_stands_in_many_rows_counts_as_often() -> None:
    found = count_words(pa.array(["a cat", "a dog"], pa.large_string()), np.array([7, 2]))
    assert (dict(found.top(9)), found.total) == ({"a": 9, "cat": 7, "dog": 2}, 18)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["New York", "Los Angeles"] * 50, False),  # categories
        ([f"id{number}" for number in range(100)], False),  # names of something
        ([f"the flight number {number}" for number in range(100)], True),
        (["東京は日本の都", "大阪は西の都"], True),
    ],
)
def test_writing_is_mostly_distinct_and_of_several_words(texts: list[str], expected: bool) -> None:
    assert is_writing(pa.array(sorted(set(texts)), pa.large_string()), len(texts)) is expected
    assert (column(texts).text.words is not None) is expected
    assert column(texts, writing=True).text.words is not None


def test_words_of_parts_are_the_words_of_the_whole() -> None:
    texts = [f"row {number} of part {number % 7}" for number in range(700)]
    parts = [profile_table(pa.table({"x": texts[start : start + 100]})) for start in range(0, 700, 100)]
    whole, merged = column(texts), merge_profiles(parts).column("x")
    found = [WordSketch.merged([one.text.words]) for one in (whole, merged)]
    assert found[0].top(5_000) == found[1].top(5_000)
    assert found[0].total == found[1].total == 700 * 5 - sum(number == number % 7 for number in range(700))


def test_parts_of_which_one_has_no_words_merge_to_a_whole_without() -> None:
    with_words, without = (profile_table(pa.table({"x": texts})) for texts in (["a b", "c d"], ["a b"] * 9))
    assert merge_profiles([with_words, without]).column("x").text.words is None


def test_the_first_rows_say_whether_words_are_counted_in_all() -> None:
    writing = [f"text number {number}" for number in range(ROW_GROUP_ROWS)]
    same = ["text number 1"] * 10
    assert column([*writing, *same]).text.words is not None
    assert column([*["text number 1"] * ROW_GROUP_ROWS, *writing[:10]]).text.words is None


def test_far_more_words_than_are_kept_are_within_the_bounds_that_are_told() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in set(rng.zipf(1.3, 12).tolist())) for _ in range(5_000)]
    expected: dict[str, int] = {}
    for text in texts:
        for word in set(text.split()):
            expected[word] = expected.get(word, 0) + 1
    assert len(expected) > 5_000
    bounds, other = WordSketch.merged([column(texts, writing=True).text.words]).bounds()
    assert all(low <= expected[word] <= high for word, (low, high) in bounds.items())
    assert max(count for word, count in expected.items() if word not in bounds) <= other < 50
    assert len(column(texts, writing=True).text.words) < 100_000


def test_a_column_without_words_is_stored_as_before_words_were_counted() -> None:
    said = profile_table(pa.table({"x": ["a", "a", "b"]})).to_dict()["columns"][0]["text"]
    assert set(said) == {"count", "shortest", "longest", "total_length", "frequent", "lengths"}


def test_the_order_of_texts_changes_nothing() -> None:
    texts = [f"this is text {number} of many others" for number in range(9_000)]
    profiles = [profile_table(pa.table({"x": each})) for each in (texts, texts[::-1])]
    assert sha256_of(profiles[0].to_dict()) == sha256_of(profiles[1].to_dict())
