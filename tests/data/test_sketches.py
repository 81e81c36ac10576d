"""Distinct and frequent values in bounded memory, the same for the same values in the same order."""

from __future__ import annotations

from pipelines.data.sketches import LONGEST_TEXT, DistinctSketch, FrequentSketch


def distinct(values) -> DistinctSketch:
    sketch = DistinctSketch()
    sketch.update(values)
    return sketch


def frequent(counts: dict[str, int]) -> FrequentSketch:
    sketch = FrequentSketch()
    sketch.update(counts, counts.values())
    return sketch


def test_distinct_values_are_counted_within_five_percent() -> None:
    assert abs(distinct([float(n) for n in range(100_000)]).estimate - 100_000) < 5_000
    assert round(distinct(["a", "b", "a"]).estimate) == 2
    assert distinct([]).estimate == 0


def test_merged_distinct_sketches_count_what_both_have_seen_once() -> None:
    left, right = [float(n) for n in range(30_000)], [float(n) for n in range(20_000, 50_000)]
    for order in ((left, right), (right, left)):
        merged = DistinctSketch.merged([distinct(values).encode() for values in order])
        assert abs(merged.estimate - 50_000) < 2_500


def test_the_same_values_give_the_same_text() -> None:
    values = [float(n) for n in range(10_000)]
    assert distinct(values).encode() == distinct(values).encode()
    counts = {str(n): n + 1 for n in range(5_000)}
    assert frequent(counts).encode() == frequent(counts).encode()


def test_up_to_768_values_are_counted_exactly_in_any_order_of_merging() -> None:
    a, b, c = {"x": 5, "y": 1}, {"y": 7}, {str(n): 1 for n in range(500)}
    for order in ((a, b, c), (c, b, a), (b, c, a)):
        merged = FrequentSketch.merged([frequent(counts).encode() for counts in order])
        assert merged.top(3) == [("y", 8), ("x", 5), ("0", 1)]


def test_among_many_values_the_frequent_are_found() -> None:
    counts = {str(n): 1 for n in range(50_000)} | {"often": 20_000, "more often": 30_000}
    (first, rows), (second, _) = frequent(counts).top(2)
    assert (first, second) == ("more often", "often")
    assert abs(rows - 30_000) <= 0.0035 * sum(counts.values())


def test_long_texts_are_cut() -> None:
    assert frequent({"é" * 1000: 3}).top(1) == [("é" * LONGEST_TEXT, 3)]


def test_the_bounds_of_a_count_hold_the_count() -> None:
    counts = {f"{n}": 1 + 300 * (n < 5) for n in range(5_000)}
    sketch = FrequentSketch()
    sketch.update(list(counts), list(counts.values()))
    bounds, most_other = sketch.bounds()
    assert all(low <= counts[text] <= high for text, (low, high) in bounds.items())
    assert all(counts[text] <= most_other for text in counts.keys() - bounds.keys())
    assert {f"{n}" for n in range(5)} <= bounds.keys()


def test_few_texts_have_exact_counts_and_no_text_none() -> None:
    sketch = FrequentSketch()
    assert sketch.bounds() == ({}, 0)
    sketch.update(["a", "b"], [3, 1])
    assert sketch.bounds() == ({"a": (3, 3), "b": (1, 1)}, 0)


def test_what_was_never_seen_is_told_from_what_may_have_been() -> None:
    few, many = FrequentSketch(), FrequentSketch()
    few.update(["a", "b"], [3, 5])
    many.update([str(number) for number in range(5000)], [2] * 5000)
    assert few.surely() == [("a", 3), ("b", 5)]
    assert (few.at_most("a"), few.at_most("c")) == (3, 0)
    assert 0 < many.at_most("never") <= 0.0035 * 10_000
    assert all(many.at_most(str(number)) >= 2 for number in range(5000))
    assert all(rows <= 2 for _, rows in many.surely())
