"""Wait for messages in a Redis channel, and take each to an asset's events.

Airflow's own trigger for Redis ends with its first message and is started anew by the triggerer: what is published in
between nobody hears, and each look waits for the next full interval. This one stays subscribed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from pipelines.errors import UsageError

LARGEST_BYTES = 1_000_000  # as `pipelines.monitoring.events` has it, which a DAG file need not import
VARIABLE = "TANDEM_EVENTS_QUEUE"
SCHEME = "redis+pubsub"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
LISTENING_SECONDS, GATHERING_SECONDS = 20.0, 0.05
MOST_MESSAGES = 100


@dataclass(frozen=True)
class Queue:
    """Where messages come from. `url` may hold a password: it is neither stored nor shown."""

    url: str
    channel: str


def configured_queue() -> Queue | None:
    """Return the queue that TANDEM_EVENTS_QUEUE names, or None where it is not set. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    parts: SplitResult = urlsplit(text)
    channel = parts.path.removeprefix("/")
    if parts.scheme != SCHEME or not parts.hostname or not channel or "/" in channel:
        # the value may hold a password, so it is not repeated
        raise UsageError(
            f"{VARIABLE}: found the scheme {parts.scheme!r} and the channel {channel!r}; allowed: "
            f"{SCHEME}://[user:password@]host:port/channel. There is no queue."
        )
    return Queue(f"redis://{parts.netloc}", channel)


class MessageTrigger(BaseEventTrigger):
    """Yields the messages of the channel as `{"messages": [text, …]}`, for as long as the triggerer runs.

    What comes close together is one event, since each costs a write to Airflow's database. The address is read where
    the trigger runs, so that no password is kept there. While Redis does not answer, it is asked again and again; what
    is published meanwhile is lost, as Redis' channels keep nothing.
    """

    def __init__(self, channel: str) -> None:
        super().__init__()
        self.channel = channel

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger of."""
        return "tandem_queue.MessageTrigger", {"channel": self.channel}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the messages as they come."""
        from redis.exceptions import RedisError

        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async for texts in self._batches():
                    pause = FIRST_PAUSE_SECONDS
                    yield TriggerEvent({"messages": texts})
            except (RedisError, OSError) as error:
                await self.log.awarning("Redis does not answer; asking again", error=str(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _batches(self) -> AsyncIterator[list[str]]:
        from redis.asyncio import Redis

        queue = configured_queue()
        if queue is None:
            raise UsageError(f"{VARIABLE} is not set for the triggerer; the DAG processor has it. Nothing is heard.")
        async with Redis.from_url(queue.url, health_check_interval=30) as client, client.pubsub() as subscription:
            await subscription.subscribe(self.channel)
            texts: list[str] = []
            while True:
                wait = GATHERING_SECONDS if texts else LISTENING_SECONDS
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=wait)
                if message is not None:
                    texts.append(_text(message["data"]))
                is_full = len(texts) >= MOST_MESSAGES or sum(map(len, texts)) >= LARGEST_BYTES
                if texts and (is_full or message is None):
                    yield texts
                    texts = []


def _text(data: bytes) -> str:
    """Return a message as text; one that no event can be is cut, so that it stays small in Airflow's database."""
    return data[: LARGEST_BYTES + 1].decode(errors="replace")
