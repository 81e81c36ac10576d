"""Planted secrets: the same every time, as many as were asked for, and with controls."""

from __future__ import annotations

import pytest

from pipelines.llm.packing.canaries import DIGITS, make_canaries, planted


@pytest.mark.parametrize("num_planted", [1, 7, 10, 57])
def test_as_many_are_planted_as_were_asked_for_and_as_many_different_ones_are_not(num_planted: int) -> None:
    canaries = make_canaries(num_planted, seed=0)
    assert len(list(planted(canaries))) == num_planted
    assert sum(one.times > 0 for one in canaries) == sum(one.times == 0 for one in canaries)
    assert len({one.prompt for one in canaries}) == len(canaries)


def test_secrets_follow_from_the_seed() -> None:
    assert make_canaries(5, seed=1) == make_canaries(5, seed=1)
    assert {one.secret for one in make_canaries(5, seed=1)}.isdisjoint(one.secret for one in make_canaries(5, seed=2))


def test_a_secret_stands_in_its_answer_and_alternatives_have_its_form() -> None:
    canary = make_canaries(1, seed=0)[0]
    assert canary.secret in canary.conversation().messages[1].content
    assert canary.secret not in canary.prompt
    others = canary.alternatives(50)
    assert all(len(one) == DIGITS and one.isdigit() for one in others)
    assert len({*others, canary.secret}) == 51
    assert canary.answer(others[0]) == canary.answer().replace(canary.secret, others[0])
