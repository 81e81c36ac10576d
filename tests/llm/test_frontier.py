from __future__ import annotations

import pytest

from pipelines.llm.frontier import Frontier, Point

REMEMBERS = Frontier(base_general=3.0, margin=0.1)


def best_of(frontier: Frontier, points: list[Point]) -> Point:
    best = None
    for point in points:
        best = point if frontier.is_better(point, best) else best
    assert best is not None
    return best


def test_of_those_that_remember_the_lowest_loss_is_the_best() -> None:
    points = [Point(2.5, 2.9), Point(2.2, 3.1), Point(2.0, 3.11), Point(2.3, 3.0)]
    assert best_of(REMEMBERS, points) == Point(2.2, 3.1)


def test_while_all_forget_the_least_forgetful_is_the_best_and_of_equals_the_one_that_learnt_more() -> None:
    points = [Point(2.0, 3.5), Point(2.4, 3.2), Point(2.3, 3.2), Point(1.0, 4.0)]
    assert best_of(REMEMBERS, points) == Point(2.3, 3.2)


def test_one_that_remembers_takes_the_place_of_any_that_forgot_and_never_the_other_way_round() -> None:
    assert REMEMBERS.is_better(Point(2.9, 3.1), Point(1.0, 3.2))
    assert not REMEMBERS.is_better(Point(1.0, 3.2), Point(2.9, 3.1))


def test_the_order_of_looks_does_not_matter() -> None:
    points = [Point(2.0, 3.5), Point(2.4, 3.05), Point(2.3, 3.2), Point(2.1, 3.09), Point(2.6, 2.8)]
    assert {best_of(REMEMBERS, points[start:] + points[:start]) for start in range(5)} == {Point(2.1, 3.09)}


@pytest.mark.parametrize("base", [None, 3.0])
def test_without_general_text_the_loss_alone_decides(base: float | None) -> None:
    frontier = Frontier(base, 0.1)
    assert best_of(frontier, [Point(2.5, None), Point(2.0, None), Point(2.2, None)]) == Point(2.0, None)
    assert not frontier.forgets(Point(2.0, None))


def test_the_same_again_is_not_better() -> None:
    assert not REMEMBERS.is_better(Point(2.0, 3.0), Point(2.0, 3.0))
