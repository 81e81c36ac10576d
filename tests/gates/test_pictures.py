"""Differences as pictures: every metric turned so that right is better, and the gate's bound where it applies."""

from __future__ import annotations

import pytest

from pipelines.gates.pictures.intervals import draw_differences
from pipelines.records import PairedDifference
from pipelines.spec.gates import GateRule, Gates

RULES = (
    GateRule(metric="answer_loss", better_than_base_by=0.02, no_worse_than_champion_by=0.01),
    GateRule(metric="general_accuracy", no_worse_than_base_by=0.05),
    GateRule(metric="refusal", minimum=0.1),
)
DIFFERENCES = [
    PairedDifference(metric=metric, slice="all", value=-0.3, low=-0.4, high=-0.2, num_rows=100)
    for metric in ("answer_loss", "general_accuracy", "refusal")
]


@pytest.mark.parametrize(("other", "bounds"), [("base", [0.02, -0.05, None]), ("champion", [-0.01, None, None])])
def test_the_bound_of_each_rule_stands_where_it_must_be_passed(other: str, bounds: list[float | None]) -> None:
    figure = draw_differences(DIFFERENCES, Gates(rules=RULES), other)
    assert f"Challenger against {other}" in figure.get_suptitle()
    drawn = [[line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] for axes in figure.axes]
    assert drawn == [[] if bound is None else [bound] for bound in bounds]


def test_a_lower_loss_is_drawn_to_the_right_and_a_lower_accuracy_to_the_left() -> None:
    figure = draw_differences(DIFFERENCES, Gates(rules=RULES), "base")
    points = [[line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"] for axes in figure.axes]
    assert points == [[0.3], [-0.3], [-0.3]]
