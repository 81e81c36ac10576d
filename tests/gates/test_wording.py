"""What a person reads when a candidate does not pass."""

from __future__ import annotations

import pytest

from pipelines.gates import wording
from pipelines.records import MetricValue, PairedDifference, RuleResult, Verdict


def _difference(
    value: float, low: float, high: float, metric: str = "roc_auc", num_rows: int = 1000
) -> PairedDifference:
    return PairedDifference(metric=metric, slice="all", value=value, low=low, high=high, num_rows=num_rows)


def test_decimals_grow_until_value_and_bound_differ() -> None:
    close = MetricValue(metric="roc_auc", slice="all", value=0.61996, low=None, high=None, num_rows=9)
    assert wording.absolute(close, ">=", 0.62) == "roc_auc = 0.61996, needs >= 0.62000"


def test_a_difference_shows_its_interval_and_the_bound_with_signs() -> None:
    text = wording.relative(_difference(-0.02, -0.03, -0.01), False, wording.Needed(0.005), "reject")
    assert text == ("roc_auc: challenger minus champion = -0.020 [-0.030, -0.010], the interval needs to be >= -0.005")
    text = wording.relative(_difference(0.02, 0.01, 0.03, "log_loss"), True, wording.Needed(0.005), "reject")
    assert text.endswith("= +0.020 [+0.010, +0.030], the interval needs to be <= +0.005")


@pytest.mark.parametrize("turned", [False, True])
def test_a_hold_tells_how_many_rows_would_settle_it(turned: bool) -> None:
    # the interval reaches 0.02 from the value and has room for 0.01: it must halve, which takes four times the rows
    difference = _difference(-0.005, -0.015, 0.025) if turned else _difference(0.005, -0.015, 0.025)
    difference = _difference(-0.005, -0.025, 0.015, "log_loss") if turned else difference
    text = wording.relative(difference, turned, wording.Needed(0.005), "hold")
    assert text.endswith("1,000 rows are too few to tell, about 4,000 would be enough if the difference stays")


def test_a_hold_below_the_margin_promises_nothing() -> None:
    text = wording.relative(_difference(-0.01, -0.03, 0.01), False, wording.Needed(0.005), "hold")
    assert text.endswith("1,000 rows are too few to tell, and more of them would sooner reject it")


def test_the_sentence_names_every_result_that_does_not_hold() -> None:
    results = (
        RuleResult(rule="a", outcome="promote", reason="fine"),
        RuleResult(rule="b", outcome="hold", reason="thin"),
        RuleResult(rule="c", outcome="reject", reason="bad"),
    )
    assert wording.sentence("reject", results, True) == "Candidate rejected, champion stays: thin; bad."
    assert wording.sentence("hold", results[:2], False) == "Candidate held, there is still no champion: thin."
    assert wording.sentence("promote", results[:1], True) == "Candidate may be promoted: all 1 checks hold."


def test_the_page_shows_the_base_beside_the_champion_where_there_is_one(evaluation) -> None:
    verdict = Verdict(
        model="m", outcome="promote", results=(), candidate_sha256="c", champion_ledger_sha256=None, holdout_sha256="b",
        evaluation_sha256="e", rules_sha256="r",
    )  # fmt: skip
    place = ("answer_loss", "all")
    page = wording.page(verdict, evaluation({place: 2.25}, base={place: (-0.5, -0.75, -0.25)}))
    assert (
        "| metric | challenger | champion (none yet) | difference | base | difference |\n|---|---|---|---|---|---|"
        in page
    )
    assert "| answer_loss | 2.2500 [2.2500, 2.2500] | - | - | - | -0.5000 [-0.7500, -0.2500] |" in page
    assert "base" not in wording.page(verdict, evaluation({place: 2.25}))
