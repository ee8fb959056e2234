"""What Redis knows of lanes, and the script that all scripts about them begin with."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .wire import Keys

_LANES = Path(__file__).with_name("lanes.lua").read_text()
_MOST = 1000


def with_lanes(script: str) -> str:
    """Put the common script before one that is about lanes."""
    return begun_with(_LANES, script)


def begun_with(first: str, script: str) -> str:
    """Put a script before another one, whose line of flags stays the first."""
    flags, rest = script.split("\n", 1) if script.startswith("#!") else ("", script)
    return f"{flags}\n{first}\n{rest}"


class Before(NamedTuple):
    """A command that another one waits for, and the `lane` in which it stands before it.

    The lane is "" where the other refers to a row that it is about.
    """

    command_id: UUID
    lane: str


async def stands_before(redis: Redis, keys: Keys, command_id: UUID | str) -> list[Before]:
    """Say what a command waits for: the head of each of its lanes, and what it waits behind besides."""
    stand: Any = redis.hkeys(keys.stand(command_id))
    fields = [field.decode().partition(":") for field in await stand]
    lanes = [name for kind, _, name in fields if kind == "lane"]
    found = [Before(UUID(name), "") for kind, _, name in fields if kind == "behind"]
    async with redis.pipeline(transaction=False) as pipe:
        for lane in lanes:
            pipe.lindex(keys.lane(lane), 0)
        heads = await pipe.execute() if lanes else []
    ahead = [(UUID(head.decode()), lane) for head, lane in zip(heads, lanes, strict=True) if head]
    return found + [Before(head, lane) for head, lane in ahead if str(head) != str(command_id)]


async def parked_before(redis: Redis, keys: Keys, command_id: UUID) -> UUID | None:
    """Find a dead command that keeps this one waiting, by way of others perhaps; it may be this one."""
    if await redis.zscore(keys.parked, str(command_id)) is not None:
        return command_id
    seen, ahead = {command_id}, deque([command_id])
    while ahead and len(seen) < _MOST:
        for before, _ in await stands_before(redis, keys, ahead.popleft()):
            if before in seen:
                continue
            seen.add(before)
            if await redis.zscore(keys.parked, str(before)) is not None:
                return before
            ahead.append(before)
    return None
