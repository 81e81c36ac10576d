"""A column has drifted where it is far and that is no chance, whatever the number of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.profiles import Profile
from pipelines.data.profiling import profile_table
from pipelines.monitoring.column_drift import column_drift, profile_of_predictions, shares_of_importance
from pipelines.spec.watching import Drift


def profile(**columns) -> Profile:
    return profile_table(pa.table(columns))


def drifted(reference: Profile, new: Profile, **options) -> dict[str, bool]:
    return {one.column: one.drifted for one in column_drift(reference, new, Drift(), **options)}


def sample(num_rows: int, shift: float = 0.0, seed: int = 0) -> Profile:
    rng = np.random.default_rng(seed)
    city = rng.choice(["Oslo", "Köln", "Rome"], num_rows, p=[0.5 + shift, 0.3, 0.2 - shift])
    return profile(x=rng.normal(2.5 * shift, 1, num_rows), city=city, same=rng.integers(0, 9, num_rows))


@pytest.mark.parametrize("num_rows", [1_000, 20_000, 400_000])
def test_the_same_shift_has_the_same_verdict_at_any_size(num_rows) -> None:
    reference = sample(50_000, seed=1)
    assert drifted(reference, sample(num_rows, seed=2)) == {"x": False, "city": False, "same": False}
    assert drifted(reference, sample(num_rows, 0.02, seed=2)) == {"x": False, "city": False, "same": False}
    assert drifted(reference, sample(num_rows, 0.15, seed=2)) == {"x": True, "city": True, "same": False}


def test_five_percent_of_the_data_does_not_drift_from_all_of_it() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({f"x{n}": rng.gamma(n + 1, 1, 40_000) for n in range(20)})
    part = table.take(rng.choice(40_000, 2_000, replace=False))
    assert not any(drifted(profile_table(table), profile_table(part)).values())


def test_far_by_chance_is_no_drift() -> None:
    rng = np.random.default_rng(0)
    reference, new = profile(x=rng.normal(size=5_000)), profile(x=rng.normal(size=20))
    (found,) = column_drift(reference, new, Drift())
    assert found.distance > 0.08
    assert not found.drifted
    assert found.q_value > 0.05


def test_what_the_training_partitions_do_themselves_is_no_drift() -> None:
    reference, new = sample(50_000, seed=1), sample(5_000, 0.15, seed=2)
    assert drifted(reference, new, usual={"x": 0.3})["x"] is False
    found = {one.column: one for one in column_drift(reference, new, Drift(), usual={"x": 0.05})}
    assert found["x"].drifted
    assert found["x"].usual_distance == 0.05
    assert found["city"].usual_distance is None


def test_columns_of_one_side_and_of_another_family_are_left_out() -> None:
    found = column_drift(
        profile(a=[1, 2], b=["x", "x"], c=[1, 2]), profile(a=["1", "2"], b=["x", "x"], d=[1, 2]), Drift()
    )
    assert [one.column for one in found] == ["b"]
    assert column_drift(profile(a=[1]), profile(b=[1]), Drift()) == ()


def test_a_side_without_a_value_has_no_distance_and_says_how_much_is_missing() -> None:
    full, empty = profile(a=[1.0, 2.0], b=["x", "x"]), profile(a=pa.nulls(2, pa.float64()), b=pa.nulls(2, pa.string()))
    for reference, new in ((full, empty), (empty, full), (empty, empty)):
        for one in column_drift(reference, new, Drift()):
            assert (one.distance, one.psi, one.p_value, one.q_value, one.drifted) == (None, None, None, None, False)
    (a, b) = column_drift(full, empty, Drift())
    assert (a.null_share, a.reference_null_share, b.null_share) == (1.0, 0.0, 1.0)
    assert (a.measure, b.measure) == ("ks", "total_variation")


def test_no_rows_at_all_break_nothing() -> None:
    none = profile(a=pa.array([], pa.float64()), b=pa.array([], pa.string()))
    full = profile(a=[1.0], b=["x"])
    for reference, new in ((none, full), (full, none), (none, none)):
        assert not any(one.drifted for one in column_drift(reference, new, Drift()))
    only_nan = profile(a=[np.nan, np.nan])
    assert [one.distance for one in column_drift(only_nan, profile(a=[1.0, 2.0]), Drift())] == [None]


def test_lists_have_no_distance() -> None:
    assert column_drift(profile(a=[[1], [2]]), profile(a=[[1], [2]]), Drift()) == ()


def test_only_the_columns_asked_for_are_looked_at_in_their_order_and_share_the_false_discoveries() -> None:
    reference, new = sample(5_000, seed=1), sample(2_000, seed=2)
    found = column_drift(reference, new, Drift(), ["same", "x", "none"], {"x": 0.7})
    assert [(one.column, one.weight) for one in found] == [("same", 0.0), ("x", 0.7)]
    assert max(one.q_value for one in found) == pytest.approx(max(one.p_value for one in found))
    (alone,) = column_drift(reference, new, Drift(), ["x"])
    assert alone.q_value == alone.p_value


def prompts(length: int, num_rows: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefgh "), rng.integers(length, 2 * length))) for _ in range(num_rows)]


def test_writing_is_compared_by_its_length_and_by_its_words() -> None:
    reference = profile(prompt=prompts(30, 1_000))
    same = column_drift(reference, profile(prompt=prompts(30, 500, seed=1)), Drift())
    longer = column_drift(reference, profile(prompt=prompts(45, 500, seed=2)), Drift())
    told = [(one.column, one.measure, one.drifted) for one in (*same, *longer)]
    assert told == [
        ("prompt (length)", "ks", False),
        ("prompt (words)", "words", False),
        ("prompt (length)", "ks", True),
        ("prompt (words)", "words", False),
    ]


def test_the_ways_in_which_writing_is_compared_share_its_weight_and_have_a_usual_distance_each() -> None:
    reference, new = (
        profile(prompt=prompts(30, 1_000), x=[0.5] * 1_000),
        profile(prompt=prompts(45, 500), x=[0.5] * 500),
    )
    found = column_drift(reference, new, Drift(), (), {"prompt": 0.6, "x": 0.4}, {"prompt (length)": 0.9})
    assert [(one.column, one.weight, one.drifted) for one in found] == [
        ("prompt (length)", 0.3, False),
        ("prompt (words)", 0.3, False),
        ("x", 0.4, False),
    ]
    assert found[0].distance > 0.3


def without(profile: Profile, *names: str) -> Profile:
    """Return a profile from before something of texts was summarised."""
    (column,) = profile.columns
    text = column.text.model_copy(update=dict.fromkeys(names))
    return profile.model_copy(update={"columns": (column.model_copy(update={"text": text}),)})


def test_writing_whose_words_were_never_counted_is_compared_by_its_length_alone() -> None:
    old, new = without(profile(prompt=prompts(30, 1_000)), "words"), profile(prompt=prompts(45, 500))
    assert [(one.column, one.drifted) for one in column_drift(old, new, Drift())] == [("prompt (length)", True)]


def test_writing_whose_lengths_were_never_summarised_is_compared_as_categories() -> None:
    old = without(profile(prompt=prompts(30, 1_000)), "lengths", "words")
    (found,) = column_drift(old, profile(prompt=prompts(45, 500)), Drift())
    assert (found.column, found.measure, found.drifted) == ("prompt", "total_variation", False)


def test_new_texts_that_are_often_the_same_are_writing_where_somebody_said_so() -> None:
    reference, often = profile(prompt=prompts(30, 1_000)), prompts(30, 5, seed=1) * 100
    said = profile_table(pa.table({"prompt": often}), ["prompt"])
    assert [one.measure for one in column_drift(reference, profile(prompt=often), Drift())] == ["total_variation"]
    assert [one.measure for one in column_drift(reference, said, Drift())] == ["ks", "words"]


def test_predictions_are_compared_like_columns() -> None:
    rng = np.random.default_rng(0)
    scored = lambda shift: pa.table(  # noqa: E731
        {"flight": rng.integers(0, 9, 2_000), "prediction.True": rng.beta(2 + shift, 5, 2_000), "row": np.arange(2_000)}
    )
    reference = profile_of_predictions(scored(0))
    assert [column.name for column in reference.columns] == ["prediction.True"]
    assert drifted(reference, profile_of_predictions(scored(0))) == {"prediction.True": False}
    assert drifted(reference, profile_of_predictions(scored(1))) == {"prediction.True": True}


def test_without_importance_all_columns_weigh_the_same() -> None:
    assert shares_of_importance({}, ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert shares_of_importance({"a": -0.1}, ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert shares_of_importance({"a": 1.0}, []) == {}
    assert sum(shares_of_importance({"a": 0.3, "b": 0.1, "other": 5}, ["a", "b"]).values()) == pytest.approx(1)
