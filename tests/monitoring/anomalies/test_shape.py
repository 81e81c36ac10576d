"""The columns of the reference, without a burst of nulls and without unseen categories."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.profiles import Profile, merge_profiles
from pipelines.data.profiling import profile_table
from pipelines.monitoring.anomalies.shape import null_bursts, schema_changes, unseen_categories, usable_reference
from pipelines.records import Anomaly


def _profile(columns: dict[str, Any]) -> Profile:
    return profile_table(pa.table(columns))


def _kinds(found: list[Anomaly]) -> list[tuple[str, str, str | None]]:
    return [(anomaly.kind, anomaly.severity, anomaly.column) for anomaly in found]


def test_a_reference_of_this_version_is_used() -> None:
    profile = _profile({"a": [1]})
    assert usable_reference(profile, "of v1") == (profile, [])


def test_a_missing_or_older_reference_is_an_alarm_and_no_crash() -> None:
    profile, found = usable_reference(None, "of v3")
    assert profile is None
    assert _kinds(found) == [("reference_missing", "critical", None)]
    assert "no reference profile of v3" in found[0].message
    profile, found = usable_reference(_profile({"a": [1]}).model_copy(update={"version": 0}), "of v3")
    assert profile is None
    assert _kinds(found) == [("reference_version", "critical", None)]
    assert "format version 0, and 1" in found[0].message


def test_columns_that_are_gone_new_or_of_another_family_are_told_and_features_are_critical() -> None:
    reference = _profile({"kept": [1], "gone": [1], "gone_feature": ["x"], "turned": [1], "turned_feature": ["1"]})
    new = _profile({"kept": [2.5], "turned": ["1"], "turned_feature": [1], "fresh": [True]})
    assert _kinds(schema_changes(new, reference, ["gone_feature", "turned_feature", "kept"])) == [
        ("column_gone", "warning", "gone"),
        ("column_gone", "critical", "gone_feature"),
        ("column_new", "info", "fresh"),
        ("type_changed", "warning", "turned"),
        ("type_changed", "critical", "turned_feature"),
    ]


def test_a_column_without_any_value_has_no_other_family() -> None:
    reference, empty = _profile({"a": ["x"]}), _profile({"a": pa.array([None], pa.int64())})
    assert schema_changes(empty, reference, ["a"]) == []
    assert schema_changes(reference, empty, ["a"]) == []


def test_columns_that_come_later_are_not_missed() -> None:
    reference = _profile({"a": [1], "late": [True]})
    assert schema_changes(_profile({"a": [1]}), reference, ["a"], ignored=["late"]) == []
    assert schema_changes(_profile({"a": [1], "late": ["?"]}), reference, ["a"], ignored=["late"]) == []


def _with_nulls(num_nulls: int, num_rows: int) -> dict[str, Any]:
    return {"a": pa.array([None] * num_nulls + [1.0] * (num_rows - num_nulls), pa.float64())}


@pytest.mark.parametrize(("num_nulls", "bursts"), [(0, False), (149, False), (151, True), (1000, True)])
def test_a_rise_of_nulls_is_told_from_the_bound_on(num_nulls: int, bursts: bool) -> None:
    found = null_bursts(_profile(_with_nulls(num_nulls, 1000)), _profile(_with_nulls(50, 1000)), ["a"], 0.1)
    assert bool(found) is bursts


def test_a_column_with_nothing_left_is_critical() -> None:
    reference = _profile(_with_nulls(5, 100))
    assert _kinds(null_bursts(_profile(_with_nulls(100, 100)), reference, ["a"], 0.1)) == [("nulls", "critical", "a")]
    assert _kinds(null_bursts(_profile(_with_nulls(50, 100)), reference, ["a"], 0.1)) == [("nulls", "warning", "a")]


def test_nan_and_infinity_are_missing_too() -> None:
    odd = _profile({"a": [float("nan"), float("inf"), 1.0] * 40})
    (found,) = null_bursts(odd, _profile(_with_nulls(0, 100)), ["a"], 0.1)
    assert found.message.startswith("66.7% of 'a' is missing (80 of 120 rows), 0.0% were")


def test_a_null_among_few_rows_is_no_burst_where_nulls_are_usual() -> None:
    reference = _profile(_with_nulls(30, 100))
    assert null_bursts(_profile(_with_nulls(1, 1)), reference, ["a"], 0.1) == []
    assert null_bursts(_profile(_with_nulls(5, 10)), reference, ["a"], 0.1) == []


def test_of_no_rows_or_an_unknown_column_nothing_is_said() -> None:
    reference, none = _profile(_with_nulls(0, 100)), _profile(_with_nulls(0, 0))
    assert null_bursts(none, reference, ["a", "gone"], 0.1) == []
    assert null_bursts(reference, none, ["a"], 0.1) == []
    assert unseen_categories(_profile({"a": pa.array([], pa.string())}), _profile({"a": ["x"]}), ["a"], 0.05) == []


def test_rows_with_a_category_never_trained_on_are_counted() -> None:
    reference = _profile({"carrier": ["UA", "AA"] * 50})
    new = _profile({"carrier": ["UA"] * 90 + ["ZZ"] * 7 + ["YY"] * 3})
    (found,) = unseen_categories(new, reference, ["carrier"], 0.05)
    assert found.message.startswith(
        "10.0% of the rows have a value of 'carrier' that the training rows have not: 'ZZ' (7), 'YY' (3); up to 5.0% "
    )
    assert unseen_categories(new, reference, ["carrier"], 0.1) == []


def test_only_some_of_many_unseen_categories_are_named() -> None:
    reference, new = _profile({"a": ["x"] * 50}), _profile({"a": [f"new{number:02}" for number in range(50)]})
    (found,) = unseen_categories(new, reference, ["a"], 0.05)
    assert "'new04' (1) and 45 more" in found.message


def test_few_rows_say_nothing_about_categories_and_numbers_have_none() -> None:
    reference = _profile({"a": ["x"] * 50, "n": [1] * 50})
    assert unseen_categories(_profile({"a": ["y"] * 29}), reference, ["a"], 0.05) == []
    assert unseen_categories(_profile({"a": ["y"] * 30}), reference, ["a"], 0.05) != []
    assert unseen_categories(_profile({"n": [2] * 50}), reference, ["n"], 0.05) == []


def test_where_every_text_is_another_one_that_came_once_is_no_category_and_one_that_came_often_is() -> None:
    reference = _profile({"prompt": [f"what is {number}?" for number in range(200)]})
    new = [f"and what was {number}?" for number in range(90)]
    assert unseen_categories(_profile({"prompt": new}), reference, ["prompt"], 0.05) == []
    (found,) = unseen_categories(_profile({"prompt": [*new, *["buy now"] * 10]}), reference, ["prompt"], 0.05)
    assert "'buy now' (10)" in found.message


def test_identifiers_beyond_what_a_sketch_counts_are_not_called_unseen_but_a_frequent_new_one_is() -> None:
    identifiers = [f"tail{number}" for number in range(4000)]
    reference = merge_profiles([_profile({"tail": identifiers}), _profile({"tail": identifiers})])
    assert unseen_categories(_profile({"tail": identifiers[:500]}), reference, ["tail"], 0.05) == []
    new = _profile({"tail": identifiers[:500] + ["never seen"] * 100})
    (found,) = unseen_categories(new, reference, ["tail"], 0.05)
    assert "'never seen' (100)" in found.message
    assert found.message.startswith("16.7%")
