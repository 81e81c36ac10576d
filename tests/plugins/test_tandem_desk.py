from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from tandem_desk import Desk

from pipelines.errors import StoreError
from pipelines.records.monitoring import Decided, RetrainingRequest

WAIT_SECONDS = 10


def asked(number: int) -> RetrainingRequest:
    return RetrainingRequest(model="m", reason="event", evidence={"number": number})


def decided(request: RetrainingRequest, run_id: str = "run") -> Decided:
    return Decided(
        model="m",
        outcome="fold",
        request_id=request.id,
        run_id=run_id,
        run_after=None,
        reasons=(),
        entry_seq=1,
        as_of="2013-01-01T00:00:00+00:00",
    )


def test_all_that_wait_are_decided_in_one_go_and_their_run_is_held_once() -> None:
    batches: list[int] = []
    held: list[str | None] = []
    first_is_in, go_on = threading.Event(), threading.Event()

    def decide(requests: Sequence[RetrainingRequest]) -> list[Decided]:
        batches.append(len(requests))
        first_is_in.set()
        assert go_on.wait(WAIT_SECONDS)
        return [decided(request) for request in requests]

    desk = Desk(decide, lambda each: held.append(each.run_id))
    futures = [desk.submit(asked(0))]
    assert first_is_in.wait(WAIT_SECONDS)
    futures += [desk.submit(asked(number)) for number in range(1, 100)]
    go_on.set()
    answers = [future.result(WAIT_SECONDS) for future in futures]
    assert [answer.request_id for answer in answers] == [asked(number).id for number in range(100)]
    assert batches == [1, 99]
    assert held == ["run"]


def test_another_run_is_held_too() -> None:
    held: list[str | None] = []
    desk = Desk(
        lambda requests: [decided(request, str(request.evidence["number"])) for request in requests],
        lambda each: held.append(each.run_id),
    )
    for number in (1, 2, 1):
        desk.submit(asked(number)).result(WAIT_SECONDS)
    assert held == ["1", "2"]


def test_a_store_that_fails_is_told_to_all_who_wait_and_the_next_are_served() -> None:
    answers = [StoreError("down"), None]

    def decide(requests: Sequence[RetrainingRequest]) -> list[Decided]:
        if error := answers.pop(0):
            raise error
        return [decided(request) for request in requests]

    desk = Desk(decide, lambda _: None)
    with pytest.raises(StoreError):
        desk.submit(asked(1)).result(WAIT_SECONDS)
    assert desk.submit(asked(1)).result(WAIT_SECONDS).run_id == "run"


def test_a_run_that_could_not_be_held_is_held_at_the_next_look() -> None:
    tries: list[str | None] = []

    def hold(each: Decided) -> None:
        tries.append(each.run_id)
        if len(tries) == 1:
            raise StoreError("Airflow's database is away")

    desk = Desk(lambda requests: [decided(request) for request in requests], hold)
    with pytest.raises(StoreError):
        desk.submit(asked(1)).result(WAIT_SECONDS)
    desk.submit(asked(1)).result(WAIT_SECONDS)
    desk.submit(asked(1)).result(WAIT_SECONDS)
    assert tries == ["run", "run"]
