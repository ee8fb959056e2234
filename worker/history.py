"""What the attempts of a command have met that failed: a few lines in Redis, for a person who looks."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from .delivery import Later

if TYPE_CHECKING:
    from uuid import UUID

    from redis.asyncio import Redis

    from producers.wire import Answer, Keys

    from .transport import Transport

KEPT = 20
"""Attempts that are kept of one command: the latest."""
TTL = 86_400
"""Seconds that they are kept after the last of them."""
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed, without values: when (ISO 8601, by Redis's clock), and what it met.

    `cause` is a word of `failure.Cause`; `delay` the seconds until the next attempt.
    """

    cause: str
    code: str
    error_class: str = ""
    sqlstate: str | None = None
    place: str = ""
    delay: float | None = None
    at: str = ""

    @property
    def moment(self) -> datetime:
        """When it was."""
        return datetime.fromisoformat(self.at)


def failed(outcome: Answer | Later) -> Attempt | None:
    """Say what an attempt has met that is made again; of the last one the ending tells."""
    met = outcome.failure if isinstance(outcome, Later) else None
    if met is None or not isinstance(outcome, Later):
        return None
    delay = round(outcome.delay, 3)
    return Attempt(met.cause.value, met.code, met.error_class, met.sqlstate, met.place, delay)


async def note(transport: Transport, command_id: UUID, attempt: Attempt) -> None:
    """Write an attempt down; where Redis does not answer at once it is left out: the log has it."""
    key = transport.keys.attempts(command_id)
    line = json.dumps(asdict(replace(attempt, at=transport.clock.now().isoformat(timespec="milliseconds"))))
    with suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE), transport.redis.pipeline(transaction=False) as pipe:
            pipe.rpush(key, line)
            pipe.ltrim(key, -KEPT, -1)
            pipe.expire(key, TTL)
            await pipe.execute()


async def attempts(redis: Redis, keys: Keys, command_id: UUID) -> list[Attempt]:
    """Read the latest failed attempts of a command, the first one first."""
    reading: Any = redis.lrange(keys.attempts(command_id), 0, -1)
    return [Attempt(**json.loads(line)) for line in await reading]
