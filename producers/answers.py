"""Hearing of answers when they are given: one connection, on which all who wait in a process listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from .connection import cancellations

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

_TURN = 1.0
"""Seconds between two looks at whether anybody still listens."""


class Channel:
    """One channel, and all who listen on it; `message` is done with None where the connection was lost."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.listeners = 0
        self.open: asyncio.Future[None] = loop.create_future()
        self.message: asyncio.Future[bytes | None] = loop.create_future()

    async def heard(self, timeout: float) -> bytes | None:
        """Wait for a message; None where there is none in time, or may have been one that was lost."""
        await asyncio.wait({self.message}, timeout=timeout)
        return self.message.result() if self.message.done() else None

    def lost(self) -> None:
        """Let go of all who wait."""
        for future in (self.open, self.message):
            if not future.done():
                future.set_result(None)


class Answers:
    """The channels of one client; its connection is opened when first needed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._channels: dict[bytes, Channel] = {}
        self._pubsub: PubSub | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def listening(self, name: str) -> AsyncIterator[Channel]:
        """Listen on a channel while the block goes on: what is published in it is heard.

        Raises RedisError or OSError where Redis cannot be reached.
        """
        key = name.encode()
        channel = self._channels.get(key)
        if channel is None or channel.message.done():
            channel = self._channels[key] = Channel()
            try:
                await self._subscribe(name)
            except BaseException:
                del self._channels[key]
                channel.lost()
                raise
        channel.listeners += 1
        try:
            await asyncio.shield(channel.open)
            yield channel
        finally:
            channel.listeners -= 1
            if not channel.listeners and self._channels.get(key) is channel:
                del self._channels[key]
                if self._pubsub is not None:
                    with suppress(RedisError, OSError):
                        await self._pubsub.unsubscribe(name)

    async def close(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._pubsub is not None:
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]
            self._pubsub = None

    async def _subscribe(self, name: str) -> None:
        async with self._opening:
            if self._pubsub is None or self._reading is None or self._reading.done():
                self._pubsub = self._redis.pubsub()
                await self._pubsub.subscribe(name)
                self._reading = asyncio.create_task(self._read(self._pubsub))
            else:
                await self._pubsub.subscribe(name)

    async def _read(self, pubsub: PubSub) -> None:
        """Hand out what comes, until the connection is lost; who listens then looks, and listens anew."""
        try:
            while not cancellations():  # with Python 3.11 redis-py can lose one
                message = await pubsub.get_message(timeout=_TURN)
                if message is None or (channel := self._channels.get(message["channel"])) is None:
                    continue
                if message["type"] == "subscribe" and not channel.open.done():
                    channel.open.set_result(None)
                elif message["type"] == "message" and not channel.message.done():
                    channel.message.set_result(message["data"])
        except (RedisError, OSError):
            with suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
        finally:
            channels, self._channels = self._channels, {}
            for channel in channels.values():
                channel.lost()
