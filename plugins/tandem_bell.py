"""Ring when messages wait in the queue: Airflow then makes a run of the DAG that takes them.

Only the ring goes through Airflow's database, never a message. A ring that gets lost, since the DAG is paused or a
component of Airflow is killed, costs nothing but time: what it rang for still waits, and it rings again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from tandem_queue import needed_queue

LOOK_SECONDS, LOOK_SECONDS_AFTER_A_FAULT = 0.5, 5.0
AGAIN_SECONDS = 30.0


class Bell:
    """Knows when to ring: at the first look, when messages come, and again while nobody does anything about them."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        self._is_answered = True
        self._since = float("-inf")

    def is_due(self, waiting: int, taken: int, now: float) -> bool:
        """Tell whether to ring now.

        Args:
            waiting: Messages that nobody has taken.
            taken: Messages that somebody is at work on, or was before being killed.
            now: A clock's seconds.
        """
        if self._before is not None and (waiting < self._before[0] or taken != self._before[1]):
            self._is_answered, self._since = True, now  # somebody takes, or is done
        self._before = waiting, taken
        is_late = (waiting or taken) and now - self._since >= AGAIN_SECONDS
        if (waiting and self._is_answered) or is_late:
            self._is_answered, self._since = False, now
            return True
        return False


class QueueBell(BaseEventTrigger):
    """Rings for as long as the triggerer runs. It changes nothing in the queue, so that two of it do no harm.

    The queue's address is read where the trigger runs, so that no password is kept in Airflow's database.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger of."""
        return "tandem_bell.QueueBell", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each ring; while Redis does not answer, ask it again and again."""
        from redis.asyncio import Redis
        from redis.exceptions import RedisError

        queue, bell = needed_queue(), Bell()
        async with Redis.from_url(queue.url) as redis:
            while True:
                pause = LOOK_SECONDS
                try:
                    lengths = await redis.llen(queue.name), await redis.llen(queue.taken)
                except (RedisError, OSError) as error:
                    pause = LOOK_SECONDS_AFTER_A_FAULT
                    await self.log.awarning("Redis does not answer; asking again", error=str(error), seconds=pause)
                else:
                    if bell.is_due(*lengths, time.monotonic()):
                        yield TriggerEvent(dict(zip(("waiting", "taken"), lengths, strict=True)))
                await asyncio.sleep(pause)
