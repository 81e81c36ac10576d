"""What a fine-tuned model must show against the pretrained one it came from."""

from __future__ import annotations

from math import inf, nan

import pytest

from pipelines.gates.judge import judge
from pipelines.records import Evaluation
from pipelines.spec.fine_tuning import LLM_LOWER_IS_BETTER, LLM_METRICS
from pipelines.spec.gates import GateRule, Gates

LOSS, GENERAL = ("answer_loss", "all"), ("general_accuracy", "all")
GAIN = {"metric": "answer_loss", "better_than_base_by": 0.05}
NO_LOSS = {"metric": "general_accuracy", "no_worse_than_base_by": 0.04}


def gates(*rules: dict) -> Gates:
    return Gates(rules=tuple(GateRule(**rule) for rule in rules))


def outcome(evidence: Evaluation, *rules: dict) -> str:
    return judge(evidence, gates(*rules))[0]


def reasons(evidence: Evaluation, *rules: dict) -> str:
    return "; ".join(result.reason for result in judge(evidence, gates(*rules))[1])


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ((0.2, 0.05, 0.3), "promote"),  # the end that speaks against it may lie on the margin
        ((0.2, 0.0499999, 0.3), "hold"),
        ((0.04, 0.01, 0.05), "hold"),  # the end that speaks for it on the margin still allows it
        ((0.04, 0.01, 0.0499999), "reject"),  # better, and yet surely not by as much as was asked
        ((-0.2, -0.3, -0.1), "reject"),
        ((0.0, 0.0, 0.0), "reject"),  # nothing was learnt
    ],
)
def test_a_gain_must_be_shown_by_the_whole_interval(evaluation, gain, expected) -> None:
    value, low, high = gain
    assert outcome(evaluation(base={LOSS: (-value, -high, -low)}), GAIN) == expected
    rule = {"metric": "general_accuracy", "better_than_base_by": 0.05}
    assert outcome(evaluation(base={GENERAL: gain}), rule) == expected


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ((0.1, 1e-9, 0.2), "promote"),
        ((0.1, 0.0, 0.2), "hold"),
        ((0.0, 0.0, 0.0), "reject"),
        ((-0.1, -0.2, 0.0), "reject"),
        ((0.0, -0.2, 1e-9), "hold"),
    ],
)
def test_with_a_margin_of_zero_an_equal_model_is_no_better_one(evaluation, gain, expected) -> None:
    rule = {"metric": "general_accuracy", "better_than_base_by": 0.0}
    assert outcome(evaluation(base={GENERAL: gain}), rule) == expected
    if expected == "hold":
        assert "needs to be > +0.000" in reasons(evaluation(base={GENERAL: gain}), rule)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((-0.02, -0.04, 0.0), "promote"),
        ((-0.02, -0.0400001, 0.0), "hold"),
        ((-0.3, -0.4, -0.0400001), "reject"),
        ((0.0, 0.0, 0.0), "promote"),
    ],
)
def test_what_fine_tuning_may_lose_is_a_non_inferiority_test(evaluation, difference, expected) -> None:
    assert outcome(evaluation(base={GENERAL: difference}), NO_LOSS) == expected


def test_a_model_that_forgets_is_rejected_however_much_it_learnt(evaluation) -> None:
    evidence = evaluation(base={LOSS: (-1.0, -1.1, -0.9), GENERAL: (-0.2, -0.3, -0.1)})
    assert outcome(evidence, GAIN, NO_LOSS) == "reject"
    assert "general_accuracy: challenger minus base = -0.200 [-0.300, -0.100]" in reasons(evidence, GAIN, NO_LOSS)
    kept = evaluation(base={LOSS: (-1.0, -1.1, -0.9), GENERAL: (-0.01, -0.03, 0.01)})
    assert outcome(kept, GAIN, NO_LOSS) == "promote"


@pytest.mark.parametrize("rule", [GAIN, NO_LOSS])
@pytest.mark.parametrize("hole", [None, nan, inf, -inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_difference_to_the_base_with_any_hole_is_rejected(evaluation, rule, hole, place) -> None:
    sign = -1 if rule is GAIN else 1
    interval: list = [sign * 0.5, sign * 0.5, sign * 0.5]
    assert outcome(evaluation(base={(rule["metric"], "all"): tuple(interval)}), rule) == "promote"
    interval[place] = hole
    assert outcome(evaluation(base={(rule["metric"], "all"): tuple(interval)}), rule) == "reject"


@pytest.mark.parametrize("rule", [GAIN, NO_LOSS])
def test_without_a_base_a_rule_against_it_is_rejected(evaluation, rule) -> None:
    evidence = evaluation({(rule["metric"], "all"): 0.5})
    assert outcome(evidence, rule) == "reject"
    assert "the difference to the base was not measured" in reasons(evidence, rule)
    figures = evaluation(base={(rule["metric"], "all"): (1.0, 1.0, 1.0)}).base_differences
    nameless = evidence.model_copy(update={"base_differences": figures})
    assert outcome(nameless, rule) == "reject"


def test_a_difference_to_the_champion_is_none_to_the_base(evaluation) -> None:
    assert outcome(evaluation(differences={LOSS: (-1.0, -1.1, -0.9)}, base={}), GAIN) == "reject"
    rule = {"metric": "answer_loss", "no_worse_than_champion_by": 0.1}
    assert outcome(evaluation(champion=True, base={LOSS: (-1.0, -1.1, -0.9)}), rule) == "reject"


def test_a_rule_against_the_base_is_judged_for_a_first_model(evaluation) -> None:
    assert outcome(evaluation(base={LOSS: (-1.0, -1.1, -0.9)}), GAIN) == "promote"


def test_the_base_is_met_fairly_where_the_champion_is_not(evaluation) -> None:
    evidence = evaluation(
        differences={LOSS: (-1.0, -1.1, -0.9)}, base={LOSS: (-1.0, -1.1, -0.9)}, champion_saw_holdout="it did"
    )
    assert outcome(evidence, GAIN) == "promote"
    assert outcome(evidence, {"metric": "answer_loss", "no_worse_than_champion_by": 0.1}) == "hold"


def test_one_rule_may_hold_to_base_and_champion_at_once(evaluation) -> None:
    rule = {**GAIN, "no_worse_than_champion_by": 0.01, "maximum": 3.0}
    good = {"differences": {LOSS: (0.0, -0.01, 0.01)}, "base": {LOSS: (-1.0, -1.1, -0.9)}}
    assert outcome(evaluation({LOSS: 2.5}, **good), rule) == "promote"
    assert outcome(evaluation({LOSS: 3.5}, **good), rule) == "reject"
    assert outcome(evaluation({LOSS: 2.5}, **{**good, "base": {LOSS: (1.0, 0.9, 1.1)}}), rule) == "reject"
    assert outcome(evaluation({LOSS: 2.5}, **{**good, "differences": {LOSS: (1.0, 0.9, 1.1)}}), rule) == "reject"


@pytest.mark.parametrize("metric", LLM_METRICS)
def test_every_metric_is_turned_the_right_way(evaluation, metric) -> None:
    rule = {"metric": metric, "no_worse_than_base_by": 0.0}
    better, worse = ((-0.1, -0.2, -0.05), (0.1, 0.05, 0.2))
    better, worse = (better, worse) if metric in LLM_LOWER_IS_BETTER else (worse, better)
    assert outcome(evaluation(base={(metric, "all"): better}), rule) == "promote"
    assert outcome(evaluation(base={(metric, "all"): worse}), rule) == "reject"


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((-0.07, -0.11, -0.03), "about 4,000 would be enough"),  # .04 to each side, .02 of room: half as wide
        ((-0.04, -0.08, 0.0), "more of them would sooner reject it"),
    ],
)
def test_a_hold_on_a_gain_tells_how_many_items_would_settle_it(evaluation, difference, expected) -> None:
    evidence = evaluation(base={LOSS: difference}, num_rows=1000)
    assert outcome(evidence, GAIN) == "hold"
    assert "the interval needs to be <= -0.050; 1,000 rows are too few to tell" in reasons(evidence, GAIN)
    assert expected in reasons(evidence, GAIN)
