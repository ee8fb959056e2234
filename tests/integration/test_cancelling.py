"""A cancellation is never lost, wherever in a round trip to Redis it comes."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from producers import Producer
from producers.commands import CreateUser
from producers.connection import _Quick


@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "redis-py's"])
@pytest.mark.parametrize("sent_before", [0, 1, 2], ids=["sending", "first_look", "second_look"])
async def test_a_cancellation_that_comes_as_the_sending_ends_is_heard(
    redis_url: str,
    queue_name: str,
    monkeypatch: pytest.MonkeyPatch,
    sent_before: int,
    *,
    is_ours: bool,
) -> None:
    """There `asyncio.wait_for` of Python 3.11, by which redis-py sends, drops it; our connections do not."""
    sends = 0
    sending = "send_packed_command" if is_ours else "_send_packed_command"
    kind: Any = _Quick if is_ours else AbstractConnection
    send_packed: Any = getattr(kind, sending)

    async def cancelled_at_the_end(self: AbstractConnection, *about: Any, **more: Any) -> None:
        nonlocal sends
        await send_packed(self, *about, **more)
        sends += 1
        if sends == sent_before + 1:
            waiting.cancel()

    async def send_and_wait() -> None:
        receipt = await producer.send(CreateUser(username="ada"))
        await receipt.result()

    async with (
        nullcontext() if is_ours else Redis.from_url(redis_url, socket_timeout=5) as client,
        Producer(redis_url, queue=queue_name, redis=client) as producer,
    ):
        await producer.send(CreateUser(username="bob"))
        monkeypatch.setattr(kind, sending, cancelled_at_the_end)
        waiting = asyncio.create_task(send_and_wait())
        await asyncio.wait({waiting}, timeout=10)
        heard = waiting.cancelled()
        waiting.cancel()
    assert heard
