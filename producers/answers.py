"""Hearing of answers when they are given: one connection, on which all who wait in a process listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import redis.exceptions
from redis.exceptions import RedisError

from .connection import cancellations

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

_TURN = 1.0
"""Seconds that a subscription may take, and between two looks at whether anybody still listens."""
_KEPT = 15
"""Turns for which the connection stays open when nobody listens."""


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
        self._closed = False

    @asynccontextmanager
    async def listening(self, name: str) -> AsyncIterator[Channel]:
        """Listen on a channel while the block goes on: what is published in it is heard.

        Where Redis does not confirm it in time, the block goes on all the same, and may hear nothing. Raises
        RedisError or OSError where Redis cannot be reached.
        """
        self._ensure_open()
        key = name.encode()
        channel = self._channels.get(key)
        if channel is None or channel.message.done():
            channel = self._channels[key] = Channel()
            try:
                await self._subscribe(name)
            except BaseException:
                channel.lost()
                self._forget(key, channel)
                raise
        channel.listeners += 1
        try:
            await asyncio.wait({channel.open}, timeout=_TURN)
            if not channel.open.done() and self._reading is not None:
                self._reading.cancel()  # the connection is dead, and nobody has said so
            yield channel
        finally:
            channel.listeners -= 1
            if not channel.listeners and self._forget(key, channel) and self._pubsub is not None:
                with suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(name)

    async def close(self) -> None:
        """Close the connection; who still waits is told that it is lost."""
        self._closed = True
        async with self._opening:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.wait({self._reading})

    def _ensure_open(self) -> None:
        if self._closed:
            raise redis.exceptions.ConnectionError("the producer is closed")

    def _forget(self, key: bytes, channel: Channel) -> bool:
        """Forget a channel, unless another one has taken its place; say whether it was there."""
        is_there = self._channels.get(key) is channel
        if is_there:
            del self._channels[key]
        return is_there

    async def _subscribe(self, name: str) -> None:
        async with self._opening:
            self._ensure_open()  # it may have been closed meanwhile
            if self._pubsub is not None:
                await self._pubsub.subscribe(name)
                return
            pubsub = self._redis.pubsub()
            try:
                await pubsub.subscribe(name)
            except BaseException:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
                raise
            self._pubsub, self._reading = pubsub, asyncio.create_task(self._read(pubsub))

    async def _read(self, pubsub: PubSub) -> None:
        """Hand out what comes, until the connection is lost or idle; who listens then looks again."""
        idle = 0
        try:
            while not cancellations() and idle < _KEPT:  # with Python 3.11 redis-py can lose one
                message = await pubsub.get_message(timeout=_TURN)
                idle = 0 if self._channels else idle + 1
                if message is None or (channel := self._channels.get(message["channel"])) is None:
                    continue
                if message["type"] == "subscribe" and channel.open.done():
                    channel.lost()  # redis-py has connected anew: what was said meanwhile is not heard
                elif message["type"] == "subscribe":
                    channel.open.set_result(None)
                elif message["type"] == "message" and not channel.message.done():
                    channel.message.set_result(message["data"])
        except (RedisError, OSError):
            pass  # they find out when they look
        finally:
            self._pubsub = None
            channels, self._channels = self._channels, {}
            for channel in channels.values():
                channel.lost()
            with suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
