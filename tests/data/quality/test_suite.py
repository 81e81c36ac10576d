from __future__ import annotations

from collections.abc import Callable

import pytest

from pipelines.data.quality.suite import build_suite, check_names, expectation_problems
from pipelines.errors import SpecError
from pipelines.spec.quality import Quality

Make = Callable[..., Quality]


@pytest.mark.parametrize(
    ("expectation", "columns", "path", "found", "allowed"),
    [
        (
            ("column_values_to_be_betwen", {"column": "a"}),
            None,
            ("type",),
            "'expect_column_values_to_be_betwen'",
            "did you mean 'expect_column_values_to_be_between'?",
        ),
        (
            ("column_values_to_not_be_null", {"column": "a", "mostl": 0.5}),
            None,
            ("kwargs", "mostl"),
            "'mostl'",
            "did you mean 'mostly'?",
        ),
        (
            ("column_values_to_be_in_set", {"column": "a"}),
            None,
            ("kwargs",),
            "no 'value_set'",
            "expect_column_values_to_be_in_set needs 'column', 'value_set'",
        ),
        (
            ("column_values_to_not_be_null", {"column": "a", "mostly": 1.5}),
            None,
            ("kwargs", "mostly"),
            "1.5",
            "1.5 is greater than the maximum of 1.0",
        ),
        (
            ("column_values_to_be_between", {"column": "a", "min_value": 3, "max_value": 1}),
            None,
            ("kwargs", "min_value"),
            "3",
            "at most max_value, which is 1",
        ),
        (
            ("column_mean_to_be_between", {"column": "a"}),
            None,
            ("kwargs",),
            "neither 'min_value' nor 'max_value'",
            "at least one of them",
        ),
        (
            ("column_values_to_match_regex", {"column": "a", "regex": "["}),
            None,
            ("kwargs", "regex"),
            "'['",
            "a regular expression; unterminated character set at position 0",
        ),
        (
            ("column_values_to_match_like_pattern", {"column": "a", "like_pattern": "x%"}),
            None,
            ("type",),
            "'expect_column_values_to_match_like_pattern'",
            "an expectation that can be judged on files; this needs a database",
        ),
        (
            ("compound_columns_to_be_unique", {"column_list": ["a", "distnce"]}),
            ["a", "distance"],
            ("kwargs",),
            "column 'distnce'",
            "did you mean 'distance'?",
        ),
    ],
)
def test_a_wrong_expectation_is_named_with_its_place_and_what_would_be_right(
    quality_of: Make,
    expectation: tuple[str, dict[str, object]],
    columns: list[str] | None,
    path: tuple[str, ...],
    found: str,
    allowed: str,
) -> None:
    right = ("table_row_count_to_equal", {"value": 1})
    [problem] = expectation_problems(quality_of(right, expectation), columns)

    assert problem.path == ("quality", "expectations", 1, *path)
    assert problem.found == found
    assert problem.allowed == allowed


def test_an_expectation_about_columns_may_name_one_that_is_not_there(quality_of: Make) -> None:
    assert expectation_problems(quality_of(("column_to_exist", {"column": "x"})), ["a"]) == []


def test_a_null_in_the_spec_is_the_same_as_nothing(quality_of: Make) -> None:
    quality = quality_of(("column_values_to_be_between", {"column": "a", "min_value": 1, "max_value": None}))

    assert expectation_problems(quality) == []
    assert build_suite(quality, "spec.yaml")[0].max_value is None


def test_the_suite_is_great_expectations_own_in_the_specs_order(quality_of: Make) -> None:
    quality = quality_of(
        ("table_row_count_to_equal", {"value": 1}), ("column_values_to_be_unique", {"column": "a", "mostly": 0.9})
    )
    suite = build_suite(quality, "spec.yaml")

    assert [expectation.expectation_type for expectation in suite] == [each.type for each in quality.expectations]
    assert suite[1].mostly == 0.9


def test_building_reports_every_problem_at_once(quality_of: Make) -> None:
    with pytest.raises(SpecError) as raised:
        build_suite(quality_of(("x", {}), ("column_to_exist", {"colum": "a"})), "config/models/m.yaml")

    assert len(raised.value.problems) == 3
    assert str(raised.value.problems[0]).startswith("config/models/m.yaml: quality.expectations[0].type: found")


def test_what_only_great_expectations_refuses_is_a_problem_of_the_spec_too(quality_of: Make) -> None:
    quality = quality_of(("column_values_to_be_between", {"column": "a", "min_value": "low"}))

    with pytest.raises(SpecError, match=r"quality.expectations\[0\]: found expect_column_values_to_be_between with"):
        build_suite(quality, "spec.yaml")


def test_two_checks_of_a_kind_on_one_column_have_two_names(quality_of: Make) -> None:
    check = ("column_values_to_be_unique", {"column": "a"})
    pair = ("column_pair_values_to_be_equal", {"column_A": "a", "column_B": "b"})

    names = ["values_to_be_unique(a)", "values_to_be_unique(a) #2", "pair_values_to_be_equal(a, b)"]
    assert check_names(quality_of(check, check, pair)) == names
