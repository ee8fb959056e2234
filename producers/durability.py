"""What "accepted" survives: until when a send waits, and what it says where that did not come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from redis.exceptions import ResponseError

from .errors import DurabilityUnconfirmed, InvalidSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

Durability = Literal["memory", "fsync", "replica"]
"""`memory` asks for no more than Redis's answer, `fsync` waits for its disk, `replica` for one replica."""

_WAIT: dict[str, tuple[str, ...]] = {"fsync": ("WAITAOF", "1", "0"), "replica": ("WAIT", "1")}
_OLDEST, _SHARE = (7, 2), 0.8


class Confirmation:
    """Asks one Redis to confirm that it has kept what was written, within most of the time for one answer."""

    def __init__(self, redis: Redis, durability: Durability, key: str, timeout: float) -> None:
        self._redis, self._words, self._key = redis, _WAIT.get(durability, ()), key
        self._patience, self._durability = round(timeout * _SHARE * 1000), durability
        self._is_able = False

    @property
    def is_wanted(self) -> bool:
        """Whether a send waits for anything."""
        return bool(self._words)

    async def ensure(self) -> None:
        """Raise InvalidSettings where this Redis cannot confirm it, before anything is sent."""
        if self._is_able or self._durability != "fsync":
            return
        try:
            server = {**await self._redis.info("server"), **await self._redis.info("persistence")}
        except ResponseError:
            server = {}
        version = str(server.get("redis_version", "0.0"))
        if tuple(map(int, version.split(".")[:2])) < _OLDEST:
            message = f"QUEUE_DURABILITY: fsync needs Redis 7.2 or newer, and this is {version}"
            raise InvalidSettings(message)
        if not server.get("aof_enabled"):
            message = "QUEUE_DURABILITY: fsync needs an append-only file; start Redis with --appendonly yes"
            raise InvalidSettings(message)
        self._is_able = True

    def note(self, pipe: Pipeline) -> None:
        """Write something, before all else.

        Redis confirms what its connection wrote last; where it wrote nothing, as of a duplicate, anything.
        """
        pipe.set(self._key, "", px=self._patience)

    def ask(self, pipe: Pipeline) -> None:
        """Say it behind what is written."""
        pipe.execute_command(*self._words, str(self._patience))

    def is_given(self, reply: Any) -> bool:
        """Whether a reply says that enough of them have it; an error says nothing."""
        count = reply[0] if isinstance(reply, list) else reply
        return isinstance(count, int) and count > 0

    @property
    def missing(self) -> DurabilityUnconfirmed:
        """The error of a send that was not confirmed."""
        where = "its disk" if self._durability == "fsync" else "a replica"
        message = f"Redis has it, and did not say within {self._patience} ms that {where} has it too"
        return DurabilityUnconfirmed(message)
