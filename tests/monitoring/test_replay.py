"""What a replay comes to: gains over the frozen champion, the share kept of the oracle's, and what it cost."""

from __future__ import annotations

import pytest

from pipelines.monitoring.replay import COLUMNS, ReplayMonth, Score, in_sentences, summarize, table_rows
from pipelines.monitoring.replay_page import render_replay
from tests.monitoring.histories import replayed
from tests.monitoring.pages import assert_whole_and_alone

NASTY = "<script>alert('x')</script>"


def _month(name: str, frozen: float | None, served: float | None, oracle: float | None, **more: object) -> ReplayMonth:
    scores = {"frozen": frozen, "served": served, "oracle": oracle}
    found = {kind: None if value is None else Score(value=value) for kind, value in scores.items()}
    return ReplayMonth.model_validate({"window_name": name, **found, "served_version": 1, **more})


def test_gains_are_taken_over_months_in_which_all_three_were_measured() -> None:
    months = [
        _month("2013-04", 0.70, 0.70, 0.71, is_oracle_retrained=False),
        _month("2013-05", 0.66, 0.69, 0.70, retrained=True, promoted_version=2),
        _month("2013-06", 0.10, 0.90, None, retrained=True),
        _month("2013-07", None, 0.9, 0.9),
    ]
    found = summarize(months, "roc_auc")
    assert (found.num_months, found.num_better) == (2, 1)
    assert found.mean_gain == pytest.approx(0.015)
    assert found.oracle_gain == pytest.approx(0.025)
    assert found.share_kept == pytest.approx(0.6)
    assert (found.num_retrainings, found.num_promoted, found.num_oracle_retrainings) == (2, 1, 2)


def test_where_less_is_better_a_fall_is_a_gain() -> None:
    found = summarize([_month("2013-04", 0.20, 0.18, 0.16)], "brier")
    assert found.mean_gain == pytest.approx(0.02)
    assert found.share_kept == pytest.approx(0.5)
    assert table_rows([_month("2013-04", 0.20, 0.18, 0.16)], "brier")[0][COLUMNS.index("gain")] == "+0.020"


@pytest.mark.parametrize("months", [[], [_month("2013-04", None, None, None)], [_month("2013-04", 0.7, None, 0.8)]])
def test_what_was_not_measured_is_no_gain_of_nought(months: list[ReplayMonth]) -> None:
    found = summarize(months, "roc_auc")
    assert (found.mean_gain, found.oracle_gain, found.share_kept) == (None, None, None)
    assert "No month" in in_sentences(found)[0]
    assert_whole_and_alone(render_replay("m", months, "roc_auc"))


def test_of_an_oracle_that_gains_nothing_no_share_is_kept() -> None:
    assert summarize([_month("2013-04", 0.7, 0.8, 0.7)], "roc_auc").share_kept is None


def test_each_month_has_a_row_that_says_what_was_decided_and_what_came_of_it() -> None:
    months = [
        _month("2013-04", 0.7, 0.7, None, reason="not dropped."),
        _month("2013-05", 0.7, 0.6, 0.8, outcome="start", reason="fell", retrained=True, promoted_version=2),
        _month("2013-06", 0.7, 0.6, 0.8, outcome="fold", reason="fell", retrained=True),
    ]
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table_rows(months, "roc_auc")]
    assert [row["decision"] for row in rows] == [
        "no: not dropped",
        "retrain: fell; version 2 promoted",
        "retrain, with one asked before: fell; not promoted",
    ]
    assert rows[1]["gain"] == "-0.100"
    assert (rows[0]["oracle"], rows[0]["by"], rows[0]["gain"]) == ("–", "v1", "+0.000")


def test_the_page_shows_the_picture_and_says_every_number() -> None:
    months = replayed(9)
    html = render_replay("flight_delay", months, "roc_auc")
    page = assert_whole_and_alone(html)
    assert html == render_replay("flight_delay", months, "roc_auc")
    assert len(html) < 1_000_000
    for row in table_rows(months, "roc_auc"):
        assert " ".join(row) in page.text
    assert in_sentences(summarize(months, "roc_auc"))[0] in page.text


def test_whatever_a_decision_says_stays_text() -> None:
    assert_whole_and_alone(render_replay("m", [_month(NASTY, 0.7, 0.7, 0.7, reason=NASTY)], "roc_auc"))
