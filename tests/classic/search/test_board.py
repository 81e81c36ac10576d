from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.trials import TrialKey, TrialResult
from pipelines.errors import IntegrityError
from pipelines.store.memory import MemoryStore

KEY = TrialKey("linear", 0)
CONFIGURATION = Configuration(name="linear", family="linear", style="dense")


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def boards(hands: Hands) -> list[TrialBoard]:
    """Two workers before one board."""
    store = MemoryStore()
    return [TrialBoard(store, "m/searches/1", worker, stale_seconds=30, now=hands) for worker in (0, 1)]


def result(worker: int, answers: np.ndarray, loss: float = 1.0) -> tuple[TrialResult, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, answers)
    data = buffer.getvalue()
    return (
        TrialResult(
            configuration=CONFIGURATION,
            fold=0,
            status="done",
            loss=loss,
            seconds=1.0,
            worker=worker,
            predictions_sha256=hashlib.sha256(data).hexdigest(),
        ),
        data,
    )


def test_a_trial_belongs_to_who_claims_it_first(boards: list[TrialBoard]) -> None:
    assert boards[0].claim(KEY)
    assert not boards[1].claim(KEY)
    assert boards[1].claim(TrialKey("linear", 1))


def test_a_dead_workers_claim_goes_stale_and_is_taken_over_once(boards: list[TrialBoard], hands: Hands) -> None:
    boards[0].claim(KEY)
    hands.seconds += 31
    assert boards[1].claim(KEY)
    third = TrialBoard(boards[0].store, "m/searches/1", 2, stale_seconds=30, now=hands)
    assert not third.claim(KEY)


def test_a_claim_that_is_renewed_does_not_go_stale(boards: list[TrialBoard], hands: Hands) -> None:
    boards[0].claim(KEY)
    for _ in range(5):
        hands.seconds += 20
        boards[0].renew([KEY])
    assert not boards[1].claim(KEY)


def test_renewing_all_the_time_writes_only_now_and_then(boards: list[TrialBoard], hands: Hands) -> None:
    boards[0].claim(KEY)
    before = boards[0].store.stat("m/searches/1/claims/linear-0.json")
    hands.seconds += 1
    boards[0].renew([KEY])
    assert boards[0].store.stat("m/searches/1/claims/linear-0.json") == before


def test_a_worker_that_starts_again_takes_back_what_its_dead_self_claimed(
    boards: list[TrialBoard], hands: Hands
) -> None:
    boards[0].claim(KEY)
    again = TrialBoard(boards[0].store, "m/searches/1", 0, stale_seconds=30, now=hands)
    assert again.claim(KEY)


def test_of_two_results_the_first_counts_for_everybody(boards: list[TrialBoard]) -> None:
    first, data = result(0, np.zeros(3))
    second, other = result(1, np.ones(3), loss=2.0)
    assert boards[0].finish(first, data) == first
    assert boards[1].finish(second, other) == first
    boards[0].refresh()
    assert boards[0].results == boards[1].results == {KEY: first}
    np.testing.assert_array_equal(boards[1].predictions(first), np.zeros(3))


def test_a_worker_sees_what_the_others_did(boards: list[TrialBoard]) -> None:
    boards[0].finish(*result(0, np.zeros(3)))
    assert boards[1].results == {}
    boards[1].refresh()
    assert boards[1].results[KEY].worker == 0


def test_predictions_that_were_altered_are_refused(boards: list[TrialBoard]) -> None:
    found, data = result(0, np.zeros(3))
    boards[0].finish(found, data)
    key = f"m/searches/1/predictions/{found.predictions_sha256}.npy"
    boards[0].store.write(key, data[:-1] + b"\1")
    with pytest.raises(IntegrityError, match=f"{key}.*was altered"):
        boards[0].predictions(found)


def test_of_two_proposals_for_a_generation_the_first_counts(boards: list[TrialBoard]) -> None:
    proposals = [[CONFIGURATION.model_copy(update={"name": name})] for name in ("a", "b")]
    assert boards[0].generation(1, lambda: proposals[0])[0].name == "a"
    assert boards[1].generation(1, lambda: proposals[1])[0].name == "a"
    assert [own.name for generation in boards[1].known_generations() for own in generation] == ["a"]


def test_a_plan_is_written_once_and_another_under_its_key_is_refused(
    boards: list[TrialBoard], planned: Callable[..., Any]
) -> None:
    detail = planned(trials=8)[0]
    for board in boards:
        board.write_detail(detail)
        assert board.read_detail() == detail
    with pytest.raises(IntegrityError, match="holds another plan"):
        boards[0].write_detail(planned(trials=9)[0])


def test_a_plan_that_is_no_plan_is_refused(boards: list[TrialBoard]) -> None:
    boards[0].store.write("m/searches/1/plan.json", b"{}")
    with pytest.raises(IntegrityError, match="is no plan of this version"):
        boards[0].read_detail()
