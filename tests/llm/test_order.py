from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipelines.llm.order import sequences_of_step, shuffled


@given(st.integers(1, 300), st.integers(0, 2**31 - 1), st.integers(0, 9))
def test_each_pass_takes_every_sequence_once(count: int, seed: int, epoch: int) -> None:
    assert sorted(shuffled(position, count, seed, epoch) for position in range(count)) == list(range(count))


def test_steps_follow_each_other_without_a_gap_over_the_end_of_a_pass() -> None:
    taken = [number for step in range(1, 11) for number in sequences_of_step(step, 4, 10, seed=3)]
    assert [sorted(taken[start : start + 10]) for start in (0, 10, 20, 30)] == [list(range(10))] * 4


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    orders = {
        tuple(shuffled(position, 50, seed, epoch) for position in range(50)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert tuple(range(50)) not in orders


def test_the_order_is_mixed_well() -> None:
    places = [shuffled(position, 4000, 7, 0) for position in range(4000)]
    followers = sum(abs(later - earlier) < 40 for earlier, later in pairwise(places))
    assert followers < 140  # 80 by chance
