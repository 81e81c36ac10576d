"""A Redis list as a queue that loses nothing: a message leaves it when what it asks for is done, and not before.

Senders push to its right end: `RPUSH list message`. Who takes messages moves them to `list:taken`; there they stay
until they are acknowledged, and what somebody left there who was killed, the next one takes again. So a message is
decided on at least once. Twice is as good as once, since equal events are one request (where nothing in them tells two
wishes apart: one a day). What could not be used goes on to `list:refused`. How much Redis itself forgets when it is
killed is a setting of Redis: `appendonly`, `appendfsync`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipelines.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from redis import Redis

VARIABLE = "TANDEM_EVENTS_QUEUE"
SCHEMES = ("redis", "rediss")
MOST_MESSAGES, MOST_BYTES = 1000, 16_000_000
KEPT_REFUSED = 100


@dataclass(frozen=True)
class Queue:
    """Where messages wait. `url` may hold a password: it is neither stored nor shown."""

    url: str = field(repr=False)
    name: str

    @property
    def taken(self) -> str:
        """The list of the messages that somebody is at work on."""
        return f"{self.name}:taken"

    @property
    def refused(self) -> str:
        """The list of the last messages that could not be used, for a person to look at or to push again."""
        return f"{self.name}:refused"

    def take(self) -> list[bytes]:
        """Move messages to the taken ones, and return them, oldest first.

        What stands among the taken ones goes back first: who took it has ended without an acknowledgement, as only one
        takes at a time. It goes behind what waits, so that a message that nobody can get done holds up no other.

        Raises:
            ServiceError: If Redis does not answer. What was moved until then is taken by the next one.
        """
        messages: list[bytes] = []
        room = MOST_BYTES
        with self._connected() as redis:
            while redis.lmove(self.taken, self.name, "LEFT", "RIGHT") is not None:
                pass
            while len(messages) < MOST_MESSAGES and room > 0:
                message = redis.lmove(self.name, self.taken, "LEFT", "RIGHT")
                if message is None:
                    break
                messages.append(message)
                room -= len(message)
        return messages

    def acknowledge(self, marks: Collection[str], refused: Collection[str] = ()) -> None:
        """Remove messages from the taken ones; all or, where Redis does not answer, none. Twice is as good as once.

        Args:
            marks: Of the messages that are done, as `mark` has them.
            refused: Those among them that could not be used. The last 100 are kept, as far as a message may be long.

        Raises:
            ServiceError: If Redis does not answer.
        """
        from pipelines.monitoring.events import LARGEST_BYTES

        with self._connected() as redis, redis.pipeline(transaction=True) as together:
            for message in redis.lrange(self.taken, 0, -1):
                if (name := mark(message)) not in marks:
                    continue
                if name in refused:
                    together.rpush(self.refused, message[:LARGEST_BYTES])
                together.lrem(self.taken, 1, message)
            together.ltrim(self.refused, -KEPT_REFUSED, -1)
            together.execute()

    @contextmanager
    def _connected(self) -> Iterator[Redis]:
        from redis import Redis
        from redis.exceptions import RedisError

        try:
            with Redis.from_url(self.url) as redis:
                yield redis
        except (RedisError, OSError) as error:
            raise ServiceError(f"The queue {self.name!r} does not answer: {error}. Its messages stay in it.") from error


def mark(message: bytes) -> str:
    """Return what stands for a message where it is too long to be carried along: its SHA-256."""
    return hashlib.sha256(message).hexdigest()


def configured_queue() -> Queue | None:
    """Return the queue that TANDEM_EVENTS_QUEUE names, or None where it is not set. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # a port that is no number is a ValueError
    except ValueError:
        parts, host = urlsplit(""), None
    name = parts.path.removeprefix("/")
    if parts.scheme not in SCHEMES or not host or not name or "/" in name:
        # the value may hold a password, so it is not repeated
        raise UsageError(
            f"{VARIABLE}: found the scheme {parts.scheme!r} and the list {name!r}; allowed: "
            "redis://[user:password@]host:port/list, or rediss:// for TLS. There is no queue."
        )
    options = f"?{parts.query}" if parts.query else ""
    return Queue(f"{parts.scheme}://{parts.netloc}{options}", name)


def needed_queue() -> Queue:
    """Return the queue where there must be one: the DAG exists only with it. Raises `UsageError`."""
    queue = configured_queue()
    if queue is None:
        raise UsageError(f"{VARIABLE} is not set here; the DAG processor has it. Nothing is taken from the queue.")
    return queue
