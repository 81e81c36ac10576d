from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis import Redis
from tandem_queue import MOST_MESSAGES, MessageTrigger, configured_queue

from pipelines.errors import UsageError


def test_no_variable_is_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_EVENTS_QUEUE", raising=False)
    assert configured_queue() is None


def test_a_queue_is_a_server_and_a_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", "redis+pubsub://:secret@host:6380/events")
    queue = configured_queue()
    assert queue is not None
    assert (queue.url, queue.channel) == ("redis://:secret@host:6380", "events")


@pytest.mark.parametrize(
    "text", ["sqs://:secret@host/x", "redis+pubsub://:secret@host", "redis+pubsub:///x", "redis+pubsub://:secret@h/x/y"]
)
def test_what_is_no_queue_is_refused_without_repeating_its_password(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", text)
    with pytest.raises(UsageError, match=r"redis\+pubsub://") as refused:
        configured_queue()
    assert "secret" not in str(refused.value)


def test_what_airflow_stores_of_the_trigger_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", "redis+pubsub://:secret@host:6380/events")
    assert MessageTrigger("events").serialize() == ("tandem_queue.MessageTrigger", {"channel": "events"})


def subscribed(client: Redis, channel: str) -> None:
    deadline = time.monotonic() + 20
    while not client.pubsub_numsub(channel)[0][1]:
        assert time.monotonic() < deadline, "nobody listens"
        time.sleep(0.02)


async def heard(trigger: MessageTrigger, count: int, publish: Any) -> list[list[str]]:
    """Return the batches in which the trigger hears `count` messages."""
    batches: list[list[str]] = []
    publishing = asyncio.create_task(asyncio.to_thread(publish))
    events = trigger.run()
    async for event in events:
        batches.append(event.payload["messages"])
        if sum(map(len, batches)) >= count:
            break
    await events.aclose()
    await publishing
    return batches


def test_every_message_is_heard_once_and_in_order(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis+pubsub://127.0.0.1:{redis_port}/many")

    def publish() -> None:
        with Redis(port=redis_port) as client:
            subscribed(client, "many")
            for number in range(250):
                client.publish("many", str(number))

    batches = asyncio.run(asyncio.wait_for(heard(MessageTrigger("many"), 250, publish), 30))
    assert [text for batch in batches for text in batch] == [str(number) for number in range(250)]
    assert max(map(len, batches)) <= MOST_MESSAGES


def test_what_is_no_text_or_too_long_is_handed_on_to_be_refused(
    redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis+pubsub://127.0.0.1:{redis_port}/odd")

    def publish() -> None:
        with Redis(port=redis_port) as client:
            subscribed(client, "odd")
            client.publish("odd", b"\xff")
            client.publish("odd", b"x" * 3_000_000)

    batches = asyncio.run(asyncio.wait_for(heard(MessageTrigger("odd"), 2, publish), 30))
    assert [len(text) for batch in batches for text in batch] == [1, 1_000_001]


def test_a_server_that_goes_away_is_asked_again(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_EVENTS_QUEUE", f"redis+pubsub://127.0.0.1:{redis_port}/back")

    def publish() -> None:
        with Redis(port=redis_port) as client:
            subscribed(client, "back")
            client.client_kill_filter(_type="pubsub")
            time.sleep(0.1)
            subscribed(client, "back")
            client.publish("back", "still there")

    batches = asyncio.run(asyncio.wait_for(heard(MessageTrigger("back"), 1, publish), 30))
    assert batches == [["still there"]]
