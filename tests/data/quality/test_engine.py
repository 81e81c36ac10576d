from __future__ import annotations

import datetime
import itertools
import math
import numbers
import os
import warnings
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.data.quality.engine import RUNTIME, FactsEngine
from pipelines.data.quality.library import PandasExecutionEngine, Validator
from pipelines.data.quality.rows import Rows
from pipelines.data.quality.suite import build_suite
from pipelines.spec.quality import Quality

Expectation = tuple[str, dict[str, Any]]

SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "j": pa.int32(),
        "f": pa.float64(),
        "g": pa.float64(),
        "s": pa.string(),
        "b": pa.bool_(),
        "t": pa.timestamp("us"),
        "z": pa.timestamp("us", "UTC"),
        "d": pa.date32(),
    }
)

integers = st.integers(-4, 4)
# halves: sums of them are exact, so that no order of adding up makes a difference
floats = st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.5, 2.5, 3.0, math.nan, math.inf, -math.inf])
texts = st.sampled_from(["", "a", "A", "ab", "b\n", "\n", "a b", "é", "ß1", "1", "٣", "$", "<i>", "x" * 9])
times = st.integers(0, 3).map(lambda day: datetime.datetime(2013, 1, 1, 12) + datetime.timedelta(days=day))
VALUES = {
    "i": integers,
    "j": integers,
    "f": floats,
    "g": floats,
    "s": texts,
    "b": st.booleans(),
    "t": times,
    "z": times.map(lambda time: time.replace(tzinfo=datetime.UTC)),
    "d": times.map(lambda time: time.date()),
}
nullable = {name: st.one_of(st.none(), values) for name, values in VALUES.items()}
tables = st.lists(st.fixed_dictionaries(nullable), max_size=12).map(lambda rows: pa.Table.from_pylist(rows, SCHEMA))
parts = st.tuples(tables, st.integers(1, 3)).map(lambda pair: cut(*pair))

mostly = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])
bound_values = st.one_of(integers, st.sampled_from([-1.5, 0.25, 0.5, 2.5]))
regexes = st.one_of(
    st.sampled_from(["a", "^a", "b$", r"\w", r"^\w+$", r"\d", ".", "^$", "[^a]", "a|b", "^a.?b?$", r"\$", "<|>", "é"]),
    st.sampled_from(["(a)", "^[A-Z]{1,2}", "(?i)A", r"\s", "a(?=b)", r"(a)\1", r"\Aa\Z", "a{,2}", r"\bab\b"]),
)


@st.composite
def bounds(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = sorted([draw(values), draw(values)])
    chosen = draw(st.sampled_from([{"min_value": low}, {"max_value": high}, {"min_value": low, "max_value": high}]))
    strict = {f"strict_{side[:3]}": draw(st.booleans()) for side in chosen}
    return chosen | strict


def on(column: str | st.SearchStrategy[str], kind: str, *kwargs: st.SearchStrategy[dict[str, Any]]) -> Any:
    """Give expectations of a kind, on a column, with kwargs drawn from each of `kwargs`."""
    columns = st.just(column) if isinstance(column, str) else column
    return st.builds(
        lambda name, *drawn: (kind, {"column": name} | {key: value for part in drawn for key, value in part.items()}),
        columns,
        *kwargs,
    )


some_mostly = st.fixed_dictionaries({"mostly": mostly})
any_column = st.sampled_from(SCHEMA.names)
numeric = st.sampled_from(["i", "j", "f", "g"])
sets = {
    "i": st.lists(integers, min_size=1, max_size=4),
    "f": st.lists(st.sampled_from([0.0, 0.5, -1.5, math.inf]), min_size=1, max_size=3),
    "s": st.lists(texts, min_size=1, max_size=4),
    "b": st.lists(st.booleans(), min_size=1, max_size=2),
}
ignored_pair = st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"])
ignored_list = st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])
compound = st.fixed_dictionaries(
    {
        "column_list": st.lists(any_column, min_size=2, max_size=3, unique=True),
        "ignore_row_if": ignored_list,
        "mostly": mostly,
    }
)
pairs = st.builds(
    lambda pair, others: {"column_A": pair[0], "column_B": pair[1], **others},
    st.sampled_from(["ij", "fg", "if", "gi", "ss", "tt", "sf"]),
    st.fixed_dictionaries({"or_equal": st.booleans(), "ignore_row_if": ignored_pair, "mostly": mostly}),
)
quantiles = st.builds(
    lambda shares, low, width: {
        "quantile_ranges": {"quantiles": shares, "value_ranges": [[low, low + width] for _ in shares]}
    },
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0]), min_size=1, max_size=3),
    integers,
    st.integers(0, 3),
)
lengths = bounds(st.integers(0, 4))

EXPECTATIONS: dict[str, Any] = {
    "not_be_null": on(any_column, "column_values_to_not_be_null", some_mostly),
    "be_null": on(any_column, "column_values_to_be_null", some_mostly),
    "be_between of numbers": on(numeric, "column_values_to_be_between", bounds(bound_values), some_mostly),
    "be_between of mixed": on(any_column, "column_values_to_be_between", bounds(bound_values), some_mostly),
    **{
        f"be_in_set of {column}": on(
            column, "column_values_to_be_in_set", st.fixed_dictionaries({"value_set": values}), some_mostly
        )
        for column, values in sets.items()
    },
    **{
        f"not_be_in_set of {column}": on(
            column, "column_values_to_not_be_in_set", st.fixed_dictionaries({"value_set": values}), some_mostly
        )
        for column, values in sets.items()
    },
    "be_in_set of another type": on(
        any_column, "column_values_to_be_in_set", st.fixed_dictionaries({"value_set": sets["s"]}), some_mostly
    ),
    "be_unique": on(any_column, "column_values_to_be_unique", some_mostly),
    "compound_columns_to_be_unique": st.tuples(st.just("compound_columns_to_be_unique"), compound),
    "match_regex": on(
        "s", "column_values_to_match_regex", st.fixed_dictionaries({"regex": regexes}), some_mostly
    ),
    "not_match_regex": on(
        "s", "column_values_to_not_match_regex", st.fixed_dictionaries({"regex": regexes}), some_mostly
    ),
    "value_lengths_to_be_between": on("s", "column_value_lengths_to_be_between", lengths, some_mostly),
    "value_lengths_of numbers": on("i", "column_value_lengths_to_be_between", lengths, some_mostly),
    "value_lengths_to_equal": on(
        "s", "column_value_lengths_to_equal", st.fixed_dictionaries({"value": st.integers(0, 3)}), some_mostly
    ),
    "mean": on(numeric, "column_mean_to_be_between", bounds(bound_values)),
    "mean of booleans": on("b", "column_mean_to_be_between", bounds(bound_values)),
    "mean of others": on(st.sampled_from(["s", "d"]), "column_mean_to_be_between", bounds(bound_values)),
    "min": on(numeric, "column_min_to_be_between", bounds(bound_values)),
    "max": on(numeric, "column_max_to_be_between", bounds(bound_values)),
    "sum": on(numeric, "column_sum_to_be_between", bounds(bound_values)),
    "stdev": on(numeric, "column_stdev_to_be_between", bounds(st.sampled_from([0, 0.3, 1.3, 5]))),
    "median": on(numeric, "column_median_to_be_between", bounds(bound_values)),
    "quantiles": on(numeric, "column_quantile_values_to_be_between", quantiles),
    "unique_value_count": on(any_column, "column_unique_value_count_to_be_between", bounds(st.integers(0, 5))),
    "proportion_of_unique": on(
        any_column, "column_proportion_of_unique_values_to_be_between", bounds(st.sampled_from([0, 0.3, 0.7, 1]))
    ),
    **{
        f"distinct_values_to_be_in_set of {column}": on(
            column, "column_distinct_values_to_be_in_set", st.fixed_dictionaries({"value_set": values})
        )
        for column, values in sets.items()
    },
    "distinct_values_to_contain_set": on(
        "s", "column_distinct_values_to_contain_set", st.fixed_dictionaries({"value_set": sets["s"]})
    ),
    "a_to_be_greater_than_b": st.tuples(st.just("column_pair_values_a_to_be_greater_than_b"), pairs),
    "table_row_count_to_be_between": st.tuples(
        st.just("table_row_count_to_be_between"), bounds(st.integers(0, 9))
    ),
    "table_row_count_to_equal": st.tuples(
        st.just("table_row_count_to_equal"), st.fixed_dictionaries({"value": st.integers(0, 4)})
    ),
    "table_columns_to_match_set": st.tuples(
        st.just("table_columns_to_match_set"),
        st.fixed_dictionaries(
            {"column_set": st.sampled_from([SCHEMA.names, ["i", "x"], ["i"]]), "exact_match": st.booleans()}
        ),
    ),
    "column_to_exist": st.tuples(
        st.just("column_to_exist"), st.fixed_dictionaries({"column": st.sampled_from(["i", "x"])})
    ),
    "row_condition": on(
        "s",
        "column_values_to_not_be_null",
        st.just({"row_condition": {"type": "comparison", "column": {"name": "i"}, "operator": ">", "parameter": 0}}),
        some_mostly,
    ),
    "select_column_values": st.just(
        ("select_column_values_to_be_unique_within_record", {"column_list": ["i", "j"]})
    ),
}  # fmt: skip


def cut(table: pa.Table, num_parts: int) -> list[pa.Table]:
    """Return the table in so many parts, some of them perhaps empty."""
    edges = [table.num_rows * part // num_parts for part in range(num_parts + 1)]
    return [table.slice(start, stop - start) for start, stop in itertools.pairwise(edges)]


def result(validator: Validator, expectation: Any) -> dict[str, Any]:
    """Return what Great Expectations says: whether it crashed, its verdict, and its counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of overflow and of groups in patterns
        found = validator.graph_validate([expectation.configuration], RUNTIME)[0]
    if not found.exception_info.get("raised_exception", True):
        keys = ("element_count", "unexpected_count", "missing_count", "observed_value")
        return {"success": bool(found.success), **{key: found.result.get(key) for key in keys}}
    return {"crashed": True}


def quiet(engine: Any) -> Validator:
    validator = Validator(execution_engine=engine)
    validator.metrics_calculator.show_progress_bars = False
    return validator


def by_pandas(parts: list[pa.Table], quality: Quality) -> list[dict[str, Any]]:
    engine = PandasExecutionEngine(caching=False)
    engine.load_batch_data("rows", pa.concat_tables(parts).to_pandas())
    return [result(quiet(engine), expectation) for expectation in build_suite(quality, "spec.yaml")]


def by_facts(rows: Rows, quality: Quality) -> list[dict[str, Any]]:
    suite = build_suite(quality, "spec.yaml")
    engine = FactsEngine(rows)
    engine.prepare(suite)
    return [result(quiet(engine), expectation) for expectation in suite]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if is_missing(one) or is_missing(other):
        return is_missing(one) and is_missing(other)
    if isinstance(one, numbers.Real) and isinstance(other, numbers.Real):
        return math.isclose(one, other, rel_tol=1e-12)
    return (isinstance(one, type(other)) or isinstance(other, type(one))) and bool(one == other)


def is_missing(value: Any) -> bool:
    return value is None or value != value


@settings(
    max_examples=int(os.environ.get("TANDEM_TEST_EXAMPLES", "12")),
    deadline=None,
    database=None,
    derandomize="TANDEM_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate],  # the message names the expectation; to shrink the rest takes minutes
)
@given(parts=parts, expectations=st.fixed_dictionaries(EXPECTATIONS))
def test_every_verdict_and_count_is_that_of_great_expectations_on_pandas(
    with_rows: Callable[..., Any],
    quality_of: Callable[..., Quality],
    parts: list[pa.Table],
    expectations: dict[str, Expectation],
) -> None:
    quality = quality_of(*expectations.values())
    expected = by_pandas(parts, quality)
    found = with_rows(parts, lambda rows: by_facts(rows, quality))
    differences = [
        (expectation, one, other)
        for expectation, one, other in zip(expectations.values(), found, expected, strict=True)
        if not same(one, other)
    ]
    assert not differences, "\n".join(map(str, differences))


USUAL = (
    ("table_row_count_to_be_between", {"min_value": 1}),
    ("table_columns_to_match_set", {"column_set": SCHEMA.names}),
    ("column_to_exist", {"column": "i"}),
    ("column_values_to_not_be_null", {"column": "d"}),
    ("column_values_to_be_null", {"column": "b"}),
    ("column_values_to_be_between", {"column": "f", "min_value": 0}),
    ("column_values_to_be_between", {"column": "t", "min_value": "2013-01-01T00:00:00"}),
    ("column_values_to_be_in_set", {"column": "s", "value_set": ["a"]}),
    ("column_values_to_not_be_in_set", {"column": "i", "value_set": [1]}),
    ("column_values_to_be_unique", {"column": "z"}),
    ("compound_columns_to_be_unique", {"column_list": ["i", "s"]}),
    ("column_values_to_match_regex", {"column": "s", "regex": "^[a-z]"}),
    ("column_values_to_not_match_regex", {"column": "s", "regex": "[<>]"}),
    ("column_value_lengths_to_be_between", {"column": "s", "max_value": 9}),
    ("column_value_lengths_to_equal", {"column": "s", "value": 1}),
    ("column_mean_to_be_between", {"column": "b", "min_value": 0}),
    ("column_min_to_be_between", {"column": "i", "min_value": 0}),
    ("column_max_to_be_between", {"column": "f", "max_value": 9}),
    ("column_sum_to_be_between", {"column": "j", "min_value": 0}),
    ("column_stdev_to_be_between", {"column": "f", "min_value": 0}),
    ("column_median_to_be_between", {"column": "f", "min_value": 0}),
    (
        "column_quantile_values_to_be_between",
        {"column": "i", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}},
    ),
    ("column_unique_value_count_to_be_between", {"column": "s", "min_value": 0}),
    ("column_proportion_of_non_null_values_to_be_between", {"column": "s", "min_value": 0}),
    ("column_distinct_values_to_be_in_set", {"column": "s", "value_set": ["a"]}),
    ("column_pair_values_a_to_be_greater_than_b", {"column_A": "i", "column_B": "f"}),
)
ROWS = [dict.fromkeys(SCHEMA.names), {"i": 1, "j": 1, "f": 1.0, "g": 1.0, "s": "a", "b": True}]


def test_the_usual_checks_load_no_rows_into_memory(
    with_rows: Callable[..., Any], quality_of: Callable[..., Quality]
) -> None:
    def computed_in_pandas(rows: Rows) -> set[str]:
        engine = FactsEngine(rows)
        suite = build_suite(quality_of(*USUAL), "spec.yaml")
        engine.prepare(suite)
        assert not [expectation for expectation in suite if "crashed" in result(quiet(engine), expectation)]
        assert engine._loaded is None
        return engine.in_pandas

    # a share is computed from counts alone, which Great Expectations does itself
    assert with_rows([pa.Table.from_pylist(ROWS, SCHEMA)], computed_in_pandas) == {"column.non_null_proportion"}


def test_what_nobody_prepared_for_is_computed_and_never_taken_for_good(
    with_rows: Callable[..., Any], quality_of: Callable[..., Quality]
) -> None:
    def unprepared(rows: Rows) -> list[dict[str, Any]]:
        return [result(quiet(FactsEngine(rows)), expectation) for expectation in build_suite(quality, "spec.yaml")]

    quality = quality_of(*[each for each in USUAL if each[1].get("column") not in {"t", "z", "d"}])
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    found = with_rows([table], unprepared)
    expected = by_pandas([table], quality)
    assert [each.get("success") for each in found] == [each.get("success") for each in expected]
    assert [each.get("unexpected_count") for each in found] == [each.get("unexpected_count") for each in expected]
