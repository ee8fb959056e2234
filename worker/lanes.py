"""What a worker asks Redis of lanes: whether a command has its turn, who stands in one, who holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from producers.lanes import with_lanes

from .engine import Script

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.wire import Keys


def script(name: str) -> Script:
    """Read a script of this package that is about lanes."""
    return Script(with_lanes(Path(__file__).with_name(f"{name}.lua").read_text()))


_JOIN, _SWEEP = script("join"), script("sweep")


class Lanes:
    """The lanes of one queue."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._join, self._sweep = (redis.register_script(made.text) for made in (_JOIN, _SWEEP))
        self._at = [keys.queue, keys.bell]

    async def may_run(self, command_id: UUID, job_id: str, stamp: Mapping[str, Any]) -> bool:
        """Have a delayed command join its lanes, now that it is due; say whether nothing is before it."""
        lanes, refs = stamp.get("lanes", ()), stamp.get("refs", ())
        if not lanes or (stamp.get("due") or 0) <= stamp["accepted"]:
            return True  # it had a score of the year 9999 until it might
        about = [str(command_id), job_id, stamp["due"], len(lanes), *lanes, len(refs), *refs]
        return bool(await self._join(keys=self._at, args=about))

    async def waits(self, command_id: UUID, job_id: str) -> bool:
        """Whether this job of a command has not had its turn in its lanes."""
        reading: Any = self._redis.hmget(self._keys.stand(command_id), ["job", "free"])
        job, is_free = await reading
        return job == job_id.encode() and is_free is None

    async def holds(self, lanes: Sequence[str]) -> bool:
        """Whether a command stands in one of these lanes."""
        return bool(lanes) and bool(await self._redis.exists(*map(self._keys.lane, lanes)))

    async def parked(self, most: int) -> tuple[list[UUID], int]:
        """Return dead commands that keep their lanes, and how many commands wait for others."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self._keys.parked, 0, most - 1)
            pipe.zcard(self._keys.waiting)
            parked, waiting = await pipe.execute()
        return [UUID(name.decode()) for name in parked], waiting

    async def sweep(self, most: int) -> tuple[int, dict[UUID, int]]:
        """Look after commands that wait, at most at so many that nobody has looked at for a while.

        Returns how many were looked at, and whose job is gone: ids and generations.
        """
        looked, gone = await self._sweep(keys=self._at, args=[most])
        return looked, {UUID(command_id.decode()): int(generation) for command_id, generation in gone}
