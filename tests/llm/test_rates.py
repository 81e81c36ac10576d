from __future__ import annotations

from itertools import pairwise

import pytest

from pipelines.llm.rates import SMALLEST_SHARE, rate_at


def test_warm_up_rises_by_equal_amounts_and_starts_above_zero() -> None:
    rates = [rate_at(step, 20, 4, 8.0, "cosine") for step in range(1, 5)]
    assert rates == [2.0, 4.0, 6.0, 8.0]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_falls_from_the_highest_to_its_smallest_share(schedule: str) -> None:
    rates = [rate_at(step, 20, 4, 1.0, schedule) for step in range(4, 21)]  # type: ignore[arg-type]
    assert rates[0] == 1.0
    assert rates[-1] == pytest.approx(SMALLEST_SHARE)
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    assert rate_at(11, 21, 0, 1.0, "cosine") == pytest.approx((1 + SMALLEST_SHARE) / 2)


def test_a_constant_rate_stays() -> None:
    assert {rate_at(step, 9, 3, 0.5, "constant") for step in range(3, 10)} == {0.5}


@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_a_training_of_one_step_runs_at_the_highest_rate(warmup_steps: int) -> None:
    assert rate_at(1, 1, warmup_steps, 0.5, "cosine") == 0.5
