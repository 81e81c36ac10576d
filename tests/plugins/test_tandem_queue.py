from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from tandem_queue import KEPT_REFUSED, MOST_MESSAGES, Queue, configured_queue, mark, needed_queue

from pipelines.errors import ServiceError, UsageError
from tests.servers import free_ports

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = count()
TAKER = """
import sys
from tandem_queue import Queue
queue = Queue(sys.argv[1], sys.argv[2])
print("ready", flush=True)
while True:
    queue.take()
"""


@pytest.fixture
def redis(redis_port: int) -> Iterator[Redis]:
    with Redis(port=redis_port) as client:
        yield client


@pytest.fixture
def queue(redis_port: int) -> Queue:
    """A queue that nobody has used."""
    return Queue(f"redis://127.0.0.1:{redis_port}", f"queue-{next(NAMES)}")


def contents(redis: Redis, queue: Queue) -> tuple[list[bytes], list[bytes], list[bytes]]:
    waiting, taken, refused = (redis.lrange(name, 0, -1) for name in (queue.name, queue.taken, queue.refused))
    return waiting, taken, refused


def test_no_variable_is_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_EVENTS_QUEUE", raising=False)
    assert configured_queue() is None
    with pytest.raises(UsageError, match="TANDEM_EVENTS_QUEUE is not set here"):
        needed_queue()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("redis://:secret@host:6380/events", "redis://:secret@host:6380"),
        ("redis://host/events", "redis://host"),
        ("rediss://me:secret@host:6380/events?db=2", "rediss://me:secret@host:6380?db=2"),
    ],
)
def test_a_queue_is_a_server_and_a_list(text: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", text)
    queue = configured_queue()
    assert queue is not None
    assert (queue.url, queue.name, queue.taken, queue.refused) == (
        url,
        "events",
        "events:taken",
        "events:refused",
    )
    assert "secret" not in repr(queue)


@pytest.mark.parametrize(
    "text",
    [
        "sqs://:secret@host/x",
        "redis+pubsub://:secret@host/x",
        "redis://:secret@host",
        "redis:///x",
        "redis://:secret@h/x/y",
        "redis://:secret@host:port/x",
        "redis://:secret@[::1/x",
    ],
)
def test_what_is_no_queue_is_refused_without_repeating_its_password(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", text)
    with pytest.raises(UsageError, match="redis://") as refused:
        configured_queue()
    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None


def test_messages_are_taken_in_order_and_stay_until_they_are_acknowledged(queue: Queue, redis: Redis) -> None:
    sent = [b"%d" % number for number in range(MOST_MESSAGES + 5)]
    redis.rpush(queue.name, *sent)
    first = queue.take()
    assert first == sent[:MOST_MESSAGES]
    assert contents(redis, queue) == (sent[MOST_MESSAGES:], first, [])
    queue.acknowledge([mark(message) for message in first])
    assert queue.take() == sent[MOST_MESSAGES:]


def test_what_was_not_acknowledged_is_taken_again_behind_what_waits(queue: Queue, redis: Redis) -> None:
    redis.rpush(queue.name, "old", "older still")
    assert queue.take() == [b"old", b"older still"]
    redis.rpush(queue.name, "new")
    assert queue.take() == [b"new", b"old", b"older still"]


def test_only_what_is_acknowledged_goes_and_twice_is_as_good_as_once(queue: Queue, redis: Redis) -> None:
    redis.rpush(queue.name, "same", "other", "same")
    queue.take()
    redis.rpush(queue.name, "same")  # has come since: nobody has looked at it
    for _ in range(2):
        queue.acknowledge([mark(b"same")])
        assert contents(redis, queue) == ([b"same"], [b"other"], [])


def test_the_last_of_what_could_not_be_used_are_kept_as_far_as_a_message_may_be_long(
    queue: Queue, redis: Redis
) -> None:
    sent = [b"bad %d" % number for number in range(KEPT_REFUSED + 2)] + [b"x" * 3_000_000, b"good"]
    redis.rpush(queue.name, *sent)
    marks = [mark(message) for message in queue.take()]
    queue.acknowledge(marks, marks[:-1])
    waiting, taken, refused = contents(redis, queue)
    assert (waiting, taken, len(refused)) == ([], [], KEPT_REFUSED)
    assert refused[-2:] == [sent[-3], b"x" * 1_000_000]


def test_a_batch_of_long_messages_ends_early(queue: Queue, redis: Redis) -> None:
    for number in range(4):
        redis.rpush(queue.name, b"%d" % number + b"x" * 7_000_000)
    assert [message[:1] for message in queue.take()] == [b"0", b"1", b"2"]


def test_who_is_killed_while_taking_loses_nothing(queue: Queue, redis: Redis) -> None:
    sent = {b"%d" % number for number in range(3000)}
    redis.rpush(queue.name, *sent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGINS), str(PLUGINS.parent)])}
    command = [sys.executable, "-c", TAKER, queue.url, queue.name]
    for _ in range(3):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as taker:
            assert taker.stdout is not None
            taker.stdout.readline()
            while not redis.llen(queue.taken):
                assert taker.poll() is None
            taker.send_signal(signal.SIGKILL)
        waiting, taken, _ = contents(redis, queue)
        assert len(waiting) + len(taken) == len(sent)
        assert {*waiting, *taken} == sent


def test_a_server_that_does_not_answer_is_a_fault_that_tells_no_password() -> None:
    queue = Queue(f"redis://:secret@127.0.0.1:{free_ports(1)[0]}", "gone")
    for ask in (queue.take, lambda: queue.acknowledge(["x"])):
        with pytest.raises(ServiceError, match="'gone' does not answer") as told:
            ask()
        assert "secret" not in str(told.value)
