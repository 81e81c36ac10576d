from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.quality import engine
from pipelines.data.quality.facts import Aggregate, Facts
from pipelines.spec.quality import Quality

Find = Callable[..., Any]
Make = Callable[..., Quality]

TABLE = pa.table(
    {
        "n": [1, 2, None, 4, 4],
        "s": ["x", "é", None, "x", "abc\n"],
        "empty": pa.nulls(5, pa.float64()),
        "nothing": pa.nulls(5),
        "infinite": [1.0, float("inf"), float("-inf"), 2.0, 3.0],
        "t": pa.array([datetime.datetime(2013, 1, day) for day in (1, 2, 3, 4, 5)]),
        "z": pa.array([datetime.datetime(2013, 1, day) for day in (1, 2, 3, 4, 5)], pa.timestamp("us", "UTC")),
        "d": [datetime.date(2013, 1, day) for day in (1, 2, 3, 4, 5)],
        "m": pa.array(["0.10", "0.20", None, "0.30", "0.10"]).cast(pa.decimal128(9, 2)),
    }
)


def only(findings_of: Find, quality: Quality) -> Any:
    [finding] = findings_of([TABLE.slice(0, 3), TABLE.slice(3)], quality)
    return finding


@pytest.mark.parametrize(
    ("expectation", "reason"),
    [
        (("column_values_to_be_between", {"column": "absent", "min_value": 1}), 'column "absent" in BatchData'),
        (("column_mean_to_be_between", {"column": "absent", "min_value": 1}), 'column "absent" in BatchData'),
        (("column_values_to_be_between", {"column": "s", "min_value": 1}), "must either be None or of the same type"),
        (("column_mean_to_be_between", {"column": "s", "min_value": 1}), "str"),
    ],
)
def test_a_check_that_crashes_is_broken_and_neither_passed_nor_failed(
    findings_of: Find, quality_of: Make, expectation: tuple[str, dict[str, Any]], reason: str
) -> None:
    finding = only(findings_of, quality_of(expectation))

    assert finding.status == "broken"
    assert reason in finding.reason
    assert finding.num_bad is None


def test_a_broken_check_takes_no_other_with_it(findings_of: Find, quality_of: Make) -> None:
    quality = quality_of(
        ("column_values_to_be_between", {"column": "s", "min_value": 1}),
        ("column_values_to_not_be_null", {"column": "s"}),
        ("column_max_to_be_between", {"column": "n", "max_value": 4}),
    )
    assert [finding.status for finding in findings_of([TABLE], quality)] == ["broken", "failed", "passed"]


@pytest.mark.parametrize(
    ("expectation", "num_bad"),
    [
        (("column_values_to_be_between", {"column": "empty", "min_value": 1}), 0),
        (("column_values_to_be_unique", {"column": "empty"}), 0),
        (("column_values_to_be_in_set", {"column": "nothing", "value_set": ["x"]}), 0),
        (("column_values_to_not_be_null", {"column": "empty"}), 5),
        (("column_values_to_not_be_null", {"column": "nothing"}), 5),
        (("column_values_to_be_between", {"column": "infinite", "max_value": 10}), 1),
    ],
)
def test_missing_and_infinite_values_are_judged_as_great_expectations_judges_them(
    findings_of: Find, quality_of: Make, expectation: tuple[str, dict[str, Any]], num_bad: int
) -> None:
    assert only(findings_of, quality_of(expectation)).num_bad == num_bad


def test_the_mean_of_nothing_fails_and_is_not_broken(findings_of: Find, quality_of: Make) -> None:
    assert only(findings_of, quality_of(("column_mean_to_be_between", {"column": "empty", "min_value": 0}))).status == (
        "failed"
    )


@pytest.mark.parametrize(
    ("regex", "text", "num_bad"),
    [
        (r"^\w$", "é", 0),  # a letter to Python, none to DuckDB
        (r"^\d$", "٣", 0),
        (r"é\b", "é", 0),
        ("^a$", "a\n", 0),  # to Python `$` is also before the last line's end
        ("^a$", "a\nb", 1),
        (r"a(?=b)", "ab", 0),  # DuckDB has no look-ahead
        (r"(a)\1", "ab", 1),
        ("(?i)A", "a", 0),
        ("a.b", "a\nb", 1),
    ],
)
def test_a_regular_expression_means_what_it_means_to_python(
    findings_of: Find, quality_of: Make, regex: str, text: str, num_bad: int
) -> None:
    quality = quality_of(("column_values_to_match_regex", {"column": "s", "regex": regex}))

    assert findings_of([pa.table({"s": [text, None]})], quality)[0].num_bad == num_bad


def test_the_median_of_an_even_number_of_values_is_between_the_two_in_the_middle(
    findings_of: Find, quality_of: Make
) -> None:
    table = pa.table({"n": [1, 9, None, 2, 4]})
    quality = quality_of(("column_median_to_be_between", {"column": "n", "min_value": 0}))

    assert findings_of([table], quality)[0].observed == 3.0


@pytest.mark.parametrize("column", ["t", "z", "d"])
def test_a_date_bounds_a_column_of_times_from_its_midnight(findings_of: Find, quality_of: Make, column: str) -> None:
    bounds = {"column": column, "min_value": "2013-01-02", "max_value": datetime.date(2013, 1, 4)}
    rows = only(findings_of, quality_of(("column_values_to_be_between", bounds)))
    latest = only(findings_of, quality_of(("column_max_to_be_between", {"column": column, "max_value": "2013-01-05"})))

    assert rows.num_bad == 2
    assert latest.status == "passed"


def test_a_decimal_is_a_number(findings_of: Find, quality_of: Make) -> None:
    between = only(findings_of, quality_of(("column_values_to_be_between", {"column": "m", "min_value": 0.2})))
    in_set = only(findings_of, quality_of(("column_values_to_be_in_set", {"column": "m", "value_set": [0.1, 0.2]})))

    assert (between.num_bad, in_set.num_bad) == (2, 1)


def test_a_type_is_the_stored_one_whether_or_not_a_value_is_missing(findings_of: Find, quality_of: Make) -> None:
    for column, kind in [("n", "int64"), ("s", "str"), ("infinite", "float64"), ("t", "datetime64")]:
        finding = only(findings_of, quality_of(("column_values_to_be_of_type", {"column": column, "type_": kind})))
        assert finding.status == "passed", column
        assert finding.num_bad is None


def test_what_is_computed_in_memory_is_bounded(
    findings_of: Find, quality_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_VALUES_IN_PANDAS", 4)
    years = ("column_values_to_match_strftime_format", {"column": "s", "strftime_format": "%Y"})
    finding = only(findings_of, quality_of(years))

    assert finding.status == "broken"
    assert "on at most 4 values; 1 columns of 5 rows are 5" in finding.reason


def test_what_duckdb_cannot_compute_is_unknown_and_spoils_nothing_else(with_rows: Callable[..., Any]) -> None:
    def known(rows: Any) -> tuple[int, bool]:
        facts = Facts(rows)
        crashing, sound = Aggregate(("sum(error('boom'))",)), Aggregate(("count(*)",))
        facts.want(crashing)
        facts.want(sound)
        facts.compute()
        try:
            facts.value(crashing)
        except KeyError:
            return facts.value(sound), True
        return facts.value(sound), False

    assert with_rows([TABLE], known) == (5, True)


def test_judging_writes_nothing_where_it_runs(
    findings_of: Find, quality_of: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    only(findings_of, quality_of(("column_values_to_be_unique", {"column": "s"})))

    assert list(tmp_path.iterdir()) == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
