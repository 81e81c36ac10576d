"""Answers of the model that serves, to the rows that are there, that still say something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.profiles import Profile
from pipelines.data.profiling import profile_table
from pipelines.monitoring.anomalies.served import dear_answers, odd_answers, other_champion, other_rows
from pipelines.records import Anomaly, Partition, ScoredPartition
from pipelines.spec.watching import Anomalies

SETTINGS = Anomalies(most_seconds_per_answer=2.0, most_tokens_per_answer=100, collapse_share=0.2)
SCORED = ScoredPartition(
    name="2013-05",
    partition_sha256="a",
    version=3,
    role="champion",
    key="k",
    content_sha256="c",
    num_rows=100,
    size_bytes=1,
    requested_at="2013-06-01",
)
CURRENT = Partition(name="2013-05", key="p", content_sha256="a", num_rows=100, size_bytes=1)


def _profile(columns: dict[str, Any]) -> Profile:
    return profile_table(pa.table(columns))


def _probabilities(spread: float, num_rows: int = 500) -> Profile:
    positive = 0.3 + spread * np.random.default_rng(0).uniform(-1, 1, num_rows)
    return _profile({"prediction.False": 1 - positive, "prediction.True": positive, "row": np.arange(num_rows)})


def _kinds(found: list[Anomaly]) -> list[tuple[str, str]]:
    return [(anomaly.kind, anomaly.severity) for anomaly in found]


def test_rows_answered_by_the_version_that_serves_are_fine_and_so_is_a_canary() -> None:
    assert other_champion(SCORED, 3) == []
    assert other_champion(SCORED.model_copy(update={"role": "canary"}), 2) == []


@pytest.mark.parametrize(("serving", "word"), [(2, "rolled back"), (4, "replaced")])
def test_rows_answered_by_another_version_are_told(serving: int, word: str) -> None:
    (found,) = other_champion(SCORED, serving)
    assert found.severity == "warning"
    assert f"answered by version 3, and version {serving} serves now: it was {word}" in found.message


def test_rows_that_were_not_answered_or_have_changed_since_are_told() -> None:
    assert other_rows(SCORED, CURRENT) == []
    assert _kinds(other_rows(SCORED, CURRENT.model_copy(update={"num_rows": 101}))) == [
        ("rows_not_answered", "critical")
    ]
    changed = CURRENT.model_copy(update={"content_sha256": "b", "num_rows": 120})
    assert _kinds(other_rows(SCORED, changed)) == [("rows_changed", "info")]


@pytest.mark.parametrize(("spread", "kinds"), [(0.2, []), (0.041, []), (0.039, ["answers_collapsed"])])
def test_answers_that_hardly_differ_any_more_have_collapsed(spread: float, kinds: list[str]) -> None:
    assert [found.kind for found in odd_answers(_probabilities(spread), _probabilities(0.2), SETTINGS)] == kinds


def test_constant_answers_are_critical_with_or_without_a_reference() -> None:
    constant = _profile({"prediction.False": [0.7] * 50, "prediction.True": [0.3] * 50})
    for reference in (None, _probabilities(0.2), constant):
        (found,) = odd_answers(constant, reference, SETTINGS)
        assert (found.kind, found.severity) == ("answers_constant", "critical")
        assert "prediction.True 0.3" in found.message


def test_of_few_rows_nothing_is_said_about_the_spread() -> None:
    assert odd_answers(_profile({"prediction": [1.0] * 29}), _profile({"prediction": [1.0, 2.0] * 50}), SETTINGS) == []
    assert odd_answers(_profile({"prediction": [1.0]}), None, SETTINGS) == []


def test_answers_that_are_no_numbers_are_counted() -> None:
    answers = _profile({"prediction": [float("nan"), None, float("inf")] + [float(n) for n in range(97)]})
    (found,) = odd_answers(answers, None, SETTINGS)
    assert (found.kind, found.severity) == ("answers_not_finite", "critical")
    assert found.message.startswith("3 of 100 answers (3.00%)")


@pytest.mark.parametrize("values", [[float("nan")] * 50, [None] * 50])
def test_answers_without_any_number_are_one_alarm(values: list[Any]) -> None:
    answers = _profile({"prediction": pa.array(values, pa.float64())})
    for reference in (None, _profile({"prediction": [1.0, 2.0] * 50})):
        assert _kinds(odd_answers(answers, reference, SETTINGS)) == [("answers_not_finite", "critical")]


@pytest.mark.parametrize("odd", [1.5, -0.25])
def test_probabilities_outside_0_to_1_are_critical(odd: float) -> None:
    positive = np.append(np.linspace(0, 1, 99), odd)
    answers = _profile({"prediction.a": 1 - positive, "prediction.b": positive})
    (found,) = odd_answers(answers, None, SETTINGS)
    assert (found.kind, found.severity) == ("answers_no_probabilities", "critical")
    assert odd_answers(_profile({"prediction": positive * 100}), None, SETTINGS) == []


def test_no_rows_and_no_predictions_are_no_alarm_here() -> None:
    assert odd_answers(_profile({"prediction": pa.array([], pa.float64())}), None, SETTINGS) == []
    assert odd_answers(_profile({"answer": ["x"]}), None, SETTINGS) == []


def test_a_regressions_spread_is_in_its_own_unit() -> None:
    wide, narrow = _profile({"prediction": np.arange(100.0)}), _profile({"prediction": np.arange(100.0) / 10})
    assert _kinds(odd_answers(narrow, wide, SETTINGS)) == [("answers_collapsed", "critical")]
    assert odd_answers(wide, narrow, SETTINGS) == []


def _answers(**columns: Any) -> Profile:
    fine = {"seconds": [0.5] * 100, "num_prompt_tokens": [30] * 100, "num_answer_tokens": [60] * 100}
    return _profile({**fine, "is_toxic": [False] * 100, **columns})


def test_answers_as_quick_short_and_safe_as_asked_for_are_no_alarm() -> None:
    assert dear_answers(_answers(), SETTINGS) == []
    assert dear_answers(_answers(seconds=[9.0] * 100, num_answer_tokens=[900] * 100), Anomalies()) == []


def test_slow_long_and_unsafe_answers_are_told() -> None:
    found = dear_answers(
        _answers(
            seconds=[0.5] * 90 + [3.0] * 10,
            num_answer_tokens=[71] * 100,
            is_toxic=[True] * 2 + [False] * 98,
            has_personal_data=[True] + [False] * 99,
        ),
        SETTINGS,
    )
    assert [anomaly.kind for anomaly in found] == ["latency", "tokens", "unsafe_answers", "unsafe_answers"]
    assert "longer than 3.00 s; 2 s are allowed" in found[0].message
    assert "101 tokens on average (30 of the prompt and 71 of the answer); 100 are allowed" in found[1].message
    assert "2 of 100 answers (2.00%) are toxic" in found[2].message


@pytest.mark.parametrize(
    "profile", [_profile({"prompt": ["x"]}), _answers(seconds=pa.array([None] * 100, pa.float64()))]
)
def test_what_was_not_noted_is_not_judged(profile: Profile) -> None:
    assert dear_answers(profile, SETTINGS) == []


def test_one_slow_answer_in_a_hundred_is_no_alarm() -> None:
    assert dear_answers(_answers(seconds=[0.5] * 99 + [60.0]), SETTINGS) == []


def test_no_rows_are_no_alarm() -> None:
    empty = _profile({"seconds": pa.array([], pa.float64()), "is_toxic": pa.array([], pa.bool_())})
    assert dear_answers(empty, SETTINGS) == []
