"""What a person has stopped: a paused queue claims nothing new, a draining one lets nothing new in.

It is kept in Redis and holds for all processes at once, those too that start later; a Redis that loses all
loses it as well. A plain arq worker does not ask, and claims from a paused queue.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from producers.lanes import begun_with

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.wire import Keys

_HALT = Path(__file__).with_name("halt.lua").read_text()


def unless_paused(script: str) -> str:
    """Have a script do nothing while the queue is paused."""
    return begun_with(_HALT, script)


class Halt(NamedTuple):
    """Since when a queue is paused or draining, by Redis's clock; None where it is not."""

    paused_at: datetime | None
    draining_at: datetime | None

    @property
    def is_any(self) -> bool:
        """Whether anything is stopped."""
        return self.paused_at is not None or self.draining_at is not None

    @property
    def sentence(self) -> str:
        """Tell it to a person; "" where nothing is stopped."""
        parts = []
        if self.paused_at is not None:
            parts.append(f"workers claim nothing: paused since {self.paused_at:%Y-%m-%d %H:%M:%S} UTC")
        if self.draining_at is not None:
            parts.append(f"producers are refused: draining since {self.draining_at:%Y-%m-%d %H:%M:%S} UTC")
        return "; ".join(parts)

    def told(self) -> dict[str, str | None]:
        """Tell it to a program."""
        return {name: None if at is None else at.isoformat() for name, at in self._asdict().items()}


async def halted(redis: Redis, keys: Keys) -> Halt:
    """Ask what is stopped."""
    reading: Any = redis.hmget(keys.halt, ["paused", "draining"])
    return Halt(
        *(None if ms is None else datetime.fromtimestamp(int(ms) / 1000, UTC) for ms in await reading)
    )


async def pause(redis: Redis, keys: Keys) -> None:
    """Have workers claim nothing new; what runs may finish, and producers go on sending."""
    setting: Any = redis.hsetnx(keys.halt, "paused", await _now(redis))
    await setting


async def drain(redis: Redis, keys: Keys) -> None:
    """Refuse new commands, and have workers carry out what is there; it ends a pause. Replays are let in."""
    now = await _now(redis)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hsetnx(keys.halt, "draining", now)
        pipe.hdel(keys.halt, "paused")
        _ring(pipe, keys)
        await pipe.execute()


async def resume(redis: Redis, keys: Keys) -> None:
    """End both."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.halt)
        _ring(pipe, keys)
        await pipe.execute()


def _ring(pipe: Any, keys: Keys) -> None:
    """Give the one hint for which idle workers wait."""
    pipe.delete(keys.bell)
    pipe.lpush(keys.bell, "1")


async def _now(redis: Redis) -> str:
    seconds, micros = await redis.time()
    return str(seconds * 1000 + micros // 1000)
