"""What the gate lets through, and above all what it does not."""

from __future__ import annotations

import inspect
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates.bootstrap import percentile_interval, resampling_weights
from pipelines.gates.judge import judge
from pipelines.records import Evaluation, MetricValue, PairedDifference
from pipelines.spec.gates import GateRule, Gates


def gates(*rules: dict[str, Any], **settings: Any) -> Gates:
    return Gates(rules=tuple(GateRule(**rule) for rule in rules), **settings)


FLOOR = {"metric": "roc_auc", "minimum": 0.62}
CEILING = {"metric": "brier", "maximum": 0.2}
MARGIN = {"metric": "roc_auc", "no_worse_than_champion_by": 0.005}
MARGIN_LOSS = {"metric": "log_loss", "no_worse_than_champion_by": 0.005}
ON_ORIGIN = {"metric": "roc_auc", "slice": "origin", "minimum": 0.55}
AUC, LOSS = ("roc_auc", "all"), ("log_loss", "all")


def outcome(evidence: Evaluation, rules: Gates) -> str:
    return judge(evidence, rules)[0]


def reasons(evidence: Evaluation, rules: Gates) -> str:
    return "; ".join(result.reason for result in judge(evidence, rules)[1])


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (FLOOR, 0.62, "promote"),
        (FLOOR, 0.6200001, "promote"),
        (FLOOR, 0.6199999, "reject"),
        (FLOOR, 0.0, "reject"),
        (CEILING, 0.2, "promote"),
        (CEILING, 0.1, "promote"),
        (CEILING, 0.2000001, "reject"),
        ({"metric": "r2", "minimum": -0.5}, -0.5, "promote"),
        ({"metric": "r2", "minimum": -0.5}, -0.6, "reject"),
        ({"metric": "accuracy", "minimum": 0.0}, 0.0, "promote"),
        ({"metric": "log_loss", "minimum": 0.1}, 0.05, "reject"),  # bounds are literal, whichever way is better
        ({"metric": "roc_auc", "maximum": 0.99}, 0.995, "reject"),
    ],
)
def test_an_absolute_bound_is_inclusive_and_literal(evaluation, rule, value, expected) -> None:
    assert outcome(evaluation({(rule["metric"], "all"): value}), gates(rule)) == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.001, -0.005, 0.007), "promote"),  # the lower end may lie on the margin
        ((0.001, -0.00500001, 0.007), "hold"),
        ((-0.009, -0.013, -0.00500001), "reject"),
        ((-0.009, -0.013, -0.005), "hold"),  # the upper end on the margin still allows it
        ((0.02, -0.006, 0.05), "hold"),  # a better point estimate does not shorten the interval
        ((0.0, 0.0, 0.0), "promote"),
        ((0.02, 0.01, 0.03), "promote"),
        ((-0.02, -0.03, -0.01), "reject"),
    ],
)
def test_a_challenger_is_held_to_the_end_of_the_interval_that_speaks_against_it(evaluation, interval, expected) -> None:
    value, low, high = interval
    assert outcome(evaluation({AUC: 0.7}, {AUC: interval}), gates(MARGIN)) == expected
    turned = (-value, -high, -low)
    assert outcome(evaluation({LOSS: 0.7}, {LOSS: turned}), gates(MARGIN_LOSS)) == expected


@pytest.mark.parametrize("metric", ["log_loss", "brier", "rmse", "mae", "median_absolute_error"])
def test_a_larger_error_is_worse(evaluation, metric) -> None:
    rule = {"metric": metric, "no_worse_than_champion_by": 0.005}
    assert outcome(evaluation({}, {(metric, "all"): (0.02, 0.01, 0.03)}), gates(rule)) == "reject"
    assert outcome(evaluation({}, {(metric, "all"): (-0.02, -0.03, -0.01)}), gates(rule)) == "promote"


def test_a_margin_of_zero_lets_an_equal_model_pass_and_no_worse_one(evaluation) -> None:
    rule = gates({"metric": "roc_auc", "no_worse_than_champion_by": 0.0})
    assert outcome(evaluation({}, {AUC: (0.0, 0.0, 0.0)}), rule) == "promote"
    assert outcome(evaluation({}, {AUC: (0.0, -1e-9, 0.1)}), rule) == "hold"
    assert outcome(evaluation({}, {AUC: (-0.1, -0.2, -1e-9)}), rule) == "reject"


@pytest.mark.parametrize("value", [None, nan, inf, -inf])
@pytest.mark.parametrize("rule", [FLOOR, CEILING, {"metric": "roc_auc", "minimum": -1e300}])
def test_an_unmeasured_value_is_rejected(evaluation, rule, value) -> None:
    evidence = evaluation({(rule["metric"], "all"): value})
    assert outcome(evidence, gates(rule)) == "reject"
    assert "was not measured" in reasons(evidence, gates(rule))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("hole", [None, nan, inf, -inf])
def test_a_difference_with_any_hole_is_rejected(evaluation, place, hole) -> None:
    interval = [0.1, 0.05, 0.15]
    interval[place] = hole
    assert outcome(evaluation({AUC: 0.9}, {AUC: tuple(interval)}), gates(MARGIN)) == "reject"


def test_a_missing_metric_is_rejected(evaluation) -> None:
    assert outcome(evaluation({LOSS: 0.1}), gates(FLOOR)) == "reject"
    assert outcome(evaluation({AUC: 0.9}, {LOSS: (-1, -1, -1)}), gates(MARGIN)) == "reject"
    assert outcome(evaluation(), gates(FLOOR)) == "reject"


def test_a_figure_on_a_slice_is_no_figure_on_all_rows(evaluation) -> None:
    assert outcome(evaluation({("roc_auc", "origin=JFK"): 0.9}), gates(FLOOR)) == "reject"


def test_a_figure_that_stands_there_twice_is_not_trusted(evaluation) -> None:
    twice = evaluation({AUC: 0.9})
    twice = twice.model_copy(update={"metrics": twice.metrics * 2})
    assert outcome(twice, gates(FLOOR)) == "reject"


def test_a_metric_whose_better_side_nobody_knows_is_not_compared(evaluation) -> None:
    rule = gates({"metric": "sparkle", "no_worse_than_champion_by": 1.0})
    assert outcome(evaluation({}, {("sparkle", "all"): (0.5, 0.4, 0.6)}), rule) == "reject"


def test_each_slice_is_held_to_the_rule_and_the_worst_decides(evaluation) -> None:
    figures = {("roc_auc", "origin=EWR"): 0.7, ("roc_auc", "origin=JFK"): 0.512, ("roc_auc", "carrier=AA"): 0.1}
    result, results = judge(evaluation(figures), gates(ON_ORIGIN))
    assert result == "reject"
    assert [(r.rule, r.outcome) for r in results[1:]] == [
        ("roc_auc >= 0.55 on origin=EWR", "promote"),
        ("roc_auc >= 0.55 on origin=JFK", "reject"),
    ]
    assert results[2].reason == "roc_auc on origin=JFK = 0.512 [0.512, 0.512], needs >= 0.550"


def test_a_rule_on_a_slice_column_that_was_not_evaluated_is_rejected(evaluation) -> None:
    evidence = evaluation({AUC: 0.9})
    assert outcome(evidence, gates(ON_ORIGIN)) == "reject"
    assert "the evaluation has no slice of origin" in reasons(evidence, gates(ON_ORIGIN))


def test_a_slice_that_lacks_the_rules_metric_is_rejected_though_others_have_it(evaluation) -> None:
    figures = {("roc_auc", "origin=EWR"): 0.7, ("brier", "origin=JFK"): 0.1}
    assert outcome(evaluation(figures), gates(ON_ORIGIN)) == "reject"
    only_difference = evaluation({("roc_auc", "origin=EWR"): 0.7}, {("roc_auc", "origin=JFK"): (0.1, 0.1, 0.1)})
    assert outcome(only_difference, gates(ON_ORIGIN)) == "reject"


def test_a_relative_rule_holds_on_each_slice(evaluation) -> None:
    rule = gates({**MARGIN, "slice": "origin"})
    figures = {("roc_auc", "origin=EWR"): 0.7, ("roc_auc", "origin=JFK"): 0.7}
    good, bad = (0.01, 0.005, 0.02), (-0.03, -0.04, -0.02)
    both = {("roc_auc", "origin=EWR"): good, ("roc_auc", "origin=JFK"): bad}
    assert outcome(evaluation(figures, both), rule) == "reject"
    assert outcome(evaluation(figures, {**both, ("roc_auc", "origin=JFK"): good}), rule) == "promote"
    assert outcome(evaluation(figures, {("roc_auc", "origin=EWR"): good}), rule) == "reject"


def test_a_small_slice_is_reported_and_not_judged(evaluation) -> None:
    figures = {("roc_auc", "origin=EWR"): 0.7, ("roc_auc", "origin=JFK"): 0.1}
    small = evaluation(figures, slice_rows={"origin=JFK": 99})
    assert outcome(small, gates(ON_ORIGIN)) == "promote"
    assert "origin=JFK has 99 rows, fewer than 100: reported, not judged" in reasons(small, gates(ON_ORIGIN))
    assert outcome(evaluation(figures, slice_rows={"origin=JFK": 100}), gates(ON_ORIGIN)) == "reject"
    assert outcome(small, gates(ON_ORIGIN, minimum_slice_rows=99)) == "reject"


def test_a_small_slice_without_a_value_does_not_condemn_the_rest(evaluation) -> None:
    figures = {("roc_auc", "origin=EWR"): 0.7, ("roc_auc", "origin=JFK"): None}
    assert outcome(evaluation(figures, slice_rows={"origin=JFK": 3}), gates(ON_ORIGIN)) == "promote"
    assert outcome(evaluation(figures, slice_rows={"origin=JFK": 300}), gates(ON_ORIGIN)) == "reject"


def test_slices_that_are_all_too_small_promote_nothing(evaluation) -> None:
    evidence = evaluation({("roc_auc", "origin=EWR"): 0.7}, slice_rows={"origin=EWR": 99})
    assert outcome(evidence, gates(ON_ORIGIN)) == "hold"
    assert "no rule could be judged" in reasons(evidence, gates(ON_ORIGIN))


@pytest.mark.parametrize(("num_rows", "expected"), [(199, "hold"), (200, "promote")])
def test_too_few_rows_hold(evaluation, num_rows, expected) -> None:
    assert outcome(evaluation({AUC: 0.9}, num_rows=num_rows), gates(FLOOR)) == expected


def test_too_few_rows_do_not_soften_a_rejection(evaluation) -> None:
    assert outcome(evaluation({AUC: 0.1}, num_rows=5), gates(FLOOR)) == "reject"


def test_for_a_first_model_relative_rules_say_that_they_do_not_apply(evaluation) -> None:
    first = evaluation({AUC: 0.7})
    assert outcome(first, gates(FLOOR, MARGIN)) == "promote"
    assert "roc_auc: no champion yet, nothing to compare with" in reasons(first, gates(FLOOR, MARGIN))
    assert outcome(evaluation({AUC: 0.6}), gates(FLOOR, MARGIN)) == "reject"


def test_a_first_model_under_relative_rules_alone_is_held(evaluation) -> None:
    assert outcome(evaluation({AUC: 0.99}), gates(MARGIN)) == "hold"


@pytest.mark.parametrize("trace", ["version", "ledger", "metrics", "differences"])
def test_whatever_speaks_of_a_champion_makes_a_missing_comparison_fail(evaluation, trace) -> None:
    first = evaluation({AUC: 0.9})
    value = MetricValue(metric="brier", slice="all", value=0.1, low=0.1, high=0.1, num_rows=5000)
    difference = PairedDifference(metric="brier", slice="all", value=0.1, low=0.1, high=0.1, num_rows=5000)
    update = {
        "version": {"champion_version": 3},
        "ledger": {"champion_ledger_sha256": "e" * 64},
        "metrics": {"champion_metrics": (value,)},
        "differences": {"differences": (difference,)},
    }[trace]
    assert outcome(first.model_copy(update=update), gates(FLOOR, MARGIN)) == "reject"


def test_a_champion_that_learnt_from_the_holdout_makes_the_comparison_unfair(evaluation) -> None:
    good = {AUC: (0.1, 0.09, 0.11)}
    seen = evaluation({AUC: 0.9}, good, champion_saw_holdout="the champion was trained on 40 of these 5,000 rows")
    assert outcome(seen, gates(FLOOR, MARGIN)) == "hold"
    assert "unfair, the champion was trained on 40 of these" in reasons(seen, gates(MARGIN))
    assert outcome(seen, gates(FLOOR)) == "promote"  # nothing is compared
    assert outcome(seen, gates({"metric": "roc_auc", "minimum": 0.95}, MARGIN)) == "reject"
    empty = evaluation({AUC: 0.9}, good, champion_saw_holdout="")
    assert outcome(empty, gates(MARGIN)) == "hold"  # an empty reason is a reason


def test_one_rule_may_carry_several_bounds_and_each_is_judged(evaluation) -> None:
    rule = {"metric": "roc_auc", "minimum": 0.6, "maximum": 0.8, "no_worse_than_champion_by": 0.005}
    good = (0.01, 0.0, 0.02)
    assert outcome(evaluation({AUC: 0.7}, {AUC: good}), gates(rule)) == "promote"
    assert len(judge(evaluation({AUC: 0.7}, {AUC: good}), gates(rule))[1]) == 4
    assert outcome(evaluation({AUC: 0.5}, {AUC: good}), gates(rule)) == "reject"
    assert outcome(evaluation({AUC: 0.9}, {AUC: good}), gates(rule)) == "reject"
    assert outcome(evaluation({AUC: 0.7}, {AUC: (0.0, -0.01, 0.02)}), gates(rule)) == "hold"


def test_no_rules_promote_nothing(evaluation) -> None:
    assert outcome(evaluation({AUC: 1.0}), Gates.model_construct(rules=(), minimum_rows=1)) == "reject"


def test_the_worst_result_decides(evaluation) -> None:
    hold = evaluation({AUC: 0.7}, {AUC: (0.0, -0.1, 0.1)})
    assert outcome(hold, gates(FLOOR, MARGIN)) == "hold"
    assert outcome(hold, gates(MARGIN, {"metric": "roc_auc", "minimum": 0.9})) == "reject"
    assert outcome(hold, gates({"metric": "roc_auc", "minimum": 0.9}, MARGIN)) == "reject"


def test_nothing_but_evidence_and_rules_goes_into_a_judgement(evaluation, monkeypatch) -> None:
    assert list(inspect.signature(judge).parameters) == ["evaluation", "gates"]
    for name in ("TANDEM_GATE", "TANDEM_DRY_RUN", "TANDEM_SKIP_GATE", "DRY_RUN", "CI"):
        monkeypatch.setenv(name, "1")
    assert outcome(evaluation({AUC: 0.1}), gates(FLOOR)) == "reject"


# Making any figure worse never makes the outcome better.

SEVERITY = {"promote": 0, "hold": 1, "reject": 2}
METRICS = ("roc_auc", "log_loss")
SLICES = ("all", "origin=EWR", "origin=JFK")
numbers = st.one_of(st.none(), st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 2)))
bounds = st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 2))


@st.composite
def any_rules(draw) -> Gates:
    def rule() -> dict[str, Any]:
        metric = draw(st.sampled_from(METRICS))
        floor = {"maximum": draw(bounds)} if metric == "log_loss" else {"minimum": draw(bounds)}
        margin = {"no_worse_than_champion_by": abs(draw(bounds))}
        bound = draw(st.sampled_from([floor, margin, {**floor, **margin}]))
        return {"metric": metric, "slice": draw(st.sampled_from([None, "origin"])), **bound}

    return gates(*[rule() for _ in range(draw(st.integers(1, 3)))])


@st.composite
def any_evidence(draw) -> Evaluation:
    rows = {name: draw(st.sampled_from([50, 100, 199, 200, 5000])) for name in SLICES}
    places = [(metric, name) for metric in METRICS for name in SLICES if draw(st.booleans())]
    compared = draw(st.booleans())
    return Evaluation(
        model="m", candidate_sha256="c", candidate_model_sha256="d", snapshot_id="a", holdout_sha256="b",
        champion_version=1 if compared else None, champion_ledger_sha256="e" if compared else None,
        champion_saw_holdout=draw(st.sampled_from([None, None, None, "it did"])), num_rows=rows["all"],
        metrics=tuple(
            MetricValue(metric=m, slice=s, value=draw(numbers), low=None, high=None, num_rows=rows[s])
            for m, s in places
        ),
        champion_metrics=(),
        differences=tuple(
            PairedDifference(
                metric=m, slice=s, value=draw(numbers), low=draw(numbers), high=draw(numbers), num_rows=rows[s]
            )
            for m, s in places
        ) if compared else (),
    )  # fmt: skip


@given(evidence=any_evidence(), rules=any_rules(), data=st.data())
def test_a_worse_figure_never_improves_the_outcome(evidence: Evaluation, rules: Gates, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(["metrics", "differences"]))
    figures = list(getattr(evidence, field))
    if not figures:
        return
    place = data.draw(st.integers(0, len(figures) - 1))
    loss = data.draw(st.floats(0, 2))
    figure = figures[place]
    sign = 1 if figure.metric == "log_loss" else -1
    shifted = {
        name: None if getattr(figure, name) is None else getattr(figure, name) + sign * loss
        for name in data.draw(st.sampled_from([("value", "low", "high"), ("low", "high"), ("value",)]))
    }
    hole = data.draw(st.sampled_from([None, None, "value", "low", "high"]))
    worse = figure.model_copy(update={**shifted, **({hole: None} if hole else {})})
    figures[place] = worse
    before, _ = judge(evidence, rules)
    after, _ = judge(evidence.model_copy(update={field: tuple(figures)}), rules)
    assert SEVERITY[after] >= SEVERITY[before]


@given(evidence=any_evidence(), rules=any_rules(), more=any_rules())
def test_another_rule_never_improves_the_outcome_of_judged_ones(
    evidence: Evaluation, rules: Gates, more: Gates
) -> None:
    before, results = judge(evidence, rules)
    if any("no rule could be judged" in result.reason for result in results):
        return  # held for want of any rule that applies: one that applies may decide
    after, _ = judge(evidence, rules.model_copy(update={"rules": rules.rules + more.rules}))
    assert SEVERITY[after] >= SEVERITY[before]


@given(evidence=any_evidence(), rules=any_rules())
def test_promotion_always_rests_on_a_rule_that_was_measured_and_holds(evidence: Evaluation, rules: Gates) -> None:
    result, results = judge(evidence, rules)
    assert result == max((r.outcome for r in results), key=SEVERITY.__getitem__)
    if result == "promote":
        assert any("needs" in r.reason for r in results if r.rule != "minimum_rows")
        assert evidence.num_rows >= rules.minimum_rows


# How often chance alone decides: paired errors of 400 rows, judged like an evaluation of them.


def _share_promoted(evaluation, true_loss: float, trials: int = 300) -> float:
    generator = np.random.default_rng(0)
    rules = gates({"metric": "mae", "no_worse_than_champion_by": 0.1})
    promoted = 0
    for seed in range(trials):
        differences = generator.normal(true_loss, 0.5, 400)
        means = np.concatenate([weights @ differences / 400 for weights in resampling_weights(400, 300, seed)])
        figure = (float(differences.mean()), *percentile_interval(means))
        promoted += outcome(evaluation({}, {("mae", "all"): figure}), rules) == "promote"
    return promoted / trials


def test_a_challenger_that_is_worse_by_the_margin_is_promoted_about_once_in_40_times(evaluation) -> None:
    assert 0.0 < _share_promoted(evaluation, true_loss=0.1) < 0.06


def test_an_equal_challenger_passes_nearly_always_when_the_holdout_can_tell(evaluation) -> None:
    assert _share_promoted(evaluation, true_loss=0.0) > 0.95
