"""What a worker says to Redis about the jobs it runs, beyond what arq or the engine says by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from redis.exceptions import RedisError

from producers.commands import Registry
from producers.lanes import with_lanes
from producers.wire import Answer, Ending, Keys, command_uuid

from .delivery import Delivery, Failures
from .engine import Script
from .received import Received
from .suspects import ALONE

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.settings import QueueSettings

    from .app import App

_FOLDER = Path(__file__).parent
_SUSPECTED = "suspected"
_LOOK = 0.1
DEPOSIT, _JOIN, _SWEEP = (
    Script(with_lanes((_FOLDER / f"{name}.lua").read_text())) for name in ("deposit", "join", "sweep")
)
_COUNT, _RESCHEDULE = (Script.beside(__file__, name) for name in ("count_failure", "reschedule"))


@dataclass(slots=True)
class Answered:
    """A job whose command has ended: the ending is committed, and its producer is to be told."""

    job_id: str
    delivery: Delivery
    answer: Answer

    def told(self, registry: Registry) -> Told:
        """Say what Redis is told of it."""
        delivery, answer = self.delivery, self.answer
        is_dead = bool(delivery.lanes) and answer.ending is Ending.DEAD
        then: Then = "parks" if is_dead and parks_when_dead(registry, delivery.kind) else ""
        ended = delivery.command_id, delivery.generation, self.job_id
        return Told(*ended, answer.encode(), then, delivery.lanes)


Then = Literal["", "parks", "leaves"]
"""What becomes of the place of a command that has ended: by default it leaves the lanes that are named."""


class Told(NamedTuple):
    """What Redis is told of a command that has ended; `answer` is JSON, or "" where none is known.

    Without `lanes` it "parks" in, or "leaves", those that Redis knows of.
    """

    command_id: UUID
    generation: int
    job_id: str
    answer: str
    then: Then
    lanes: Sequence[str] = ()


def parks_when_dead(registry: Registry, kind: str) -> bool:
    """Whether what stands behind a command waits once it is dead; a read leaves no letter to mend."""
    command = registry.get(kind)
    return command is None or (command.parks and not command.read_only)


class Transport:
    """What one worker process says to Redis about the jobs it runs."""

    def __init__(self, app: App, redis: Redis, queue: QueueSettings | None = None) -> None:
        self.app, self.redis, self.queue = app, redis, queue or app.queue
        self.keys = Keys(self.queue.name)
        self._deposit, self._join, self._sweep, self._count, self._reschedule = (
            redis.register_script(script.text) for script in (DEPOSIT, _JOIN, _SWEEP, _COUNT, _RESCHEDULE)
        )
        self._lanes = [self.keys.queue, self.keys.bell]

    async def delivery(self, job_id: str, received: Received, *, first: bool) -> Delivery:
        """Say what was delivered."""
        envelope, stamp = received.envelope, received.stamp
        accepted, deadline = stamp.get("accepted"), stamp.get("deadline")
        return Delivery(
            command_id=envelope.id if envelope else self._id_of(job_id),
            queue=self.keys.queue,
            body=received.body,
            envelope=envelope,
            problem=received.problem,
            first=first,
            unbegun=Ending.EXPIRED if deadline is not None and await self._now() > deadline else None,
            accepted_at=datetime.fromtimestamp(accepted / 1000, UTC) if accepted else None,
            lanes=stamp.get("lanes", ()),
            count=lambda reason: self.count(job_id, reason),
            holds=self.holds,
            revived=received.command,
        )

    async def may_run(self, job_id: str, received: Received) -> bool:
        """Have a delayed command join its lanes, now that it is due; say whether nothing is before it."""
        stamp = received.stamp
        lanes, refs = stamp.get("lanes", ()), stamp.get("refs", ())
        if not lanes or (stamp.get("due") or 0) <= stamp["accepted"]:
            return True  # it had a score of the year 9999 until it might
        envelope = received.envelope
        command_id = envelope.id if envelope else self._id_of(job_id)
        about = [str(command_id), job_id, stamp["due"], len(lanes), *lanes, len(refs), *refs]
        return bool(await self._join(keys=self._lanes, args=about))

    async def is_suspected(self, job_id: str) -> bool:
        """Whether the database session of a job before this one crashed."""
        reading: Any = self.redis.hexists(self.keys.failures(job_id), _SUSPECTED)
        return bool(await reading)

    @asynccontextmanager
    async def one_at_a_time(self, longest: float) -> AsyncIterator[None]:
        """Wait until no other worker is within; one killed there is out of it after `longest` seconds."""
        token = os.urandom(8).hex()
        while not await self.redis.set(self.keys.alone, token, nx=True, px=round(longest * 1000)):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        try:
            yield
        finally:
            with suppress(RedisError, OSError):
                if await self.redis.get(self.keys.alone) == token.encode():
                    await self.redis.delete(self.keys.alone)

    async def suspect(self, job_id: str, *, suspected: bool) -> None:
        """Have a job be run alone, or not; what was counted against it before is forgotten."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hdel(self.keys.failures(job_id), _SUSPECTED, ALONE)
            if suspected:
                pipe.hset(self.keys.failures(job_id), _SUSPECTED, "1")
            await pipe.execute()

    async def waits(self, command_id: UUID, job_id: str) -> bool:
        """Whether this job of a command has not had its turn in its lanes."""
        reading: Any = self.redis.hmget(self.keys.stand(command_id), ["job", "free"])
        job, is_free = await reading
        return job == job_id.encode() and is_free is None

    async def holds(self, lanes: Sequence[str]) -> bool:
        """Whether a command stands in one of these lanes."""
        return bool(lanes) and bool(await self.redis.exists(*map(self.keys.lane, lanes)))

    async def parked(self, most: int = 100) -> tuple[list[str], int]:
        """Return the dead commands that keep their lanes, and how many commands wait for others."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self.keys.parked, 0, most - 1)
            pipe.zcard(self.keys.waiting)
            parked, waiting = await pipe.execute()
        return [name.decode() for name in parked], waiting

    async def early(self, received: Received) -> float:
        """Seconds until a delayed command is due by Redis's clock; arq goes by the worker's own."""
        due = received.stamp.get("due") or 0
        if due <= received.stamp.get("accepted", 0):
            return 0
        return max(0.0, (due - await self._now()) / 1000)

    async def count(self, job_id: str, reason: str) -> Failures:
        """Count a failure for good."""
        count, age = await self._count(keys=[self.keys.failures(job_id)], args=[reason, os.urandom(8).hex()])
        return Failures(count, age / 1000)

    async def reschedule(self, job_id: str, delay: float) -> None:
        """Make a job due again after `delay` seconds."""
        await self._reschedule(keys=[self.keys.queue], args=[job_id, round(delay * 1000)])

    async def deposit(self, answered: Answered) -> None:
        """Leave an answer where its producer waits, unless the command has been replayed since."""
        await self.tell([answered.told(self.app.registry)])

    async def tell(self, ended: Sequence[Told]) -> None:
        """Tell Redis of commands that have ended."""
        keys, arguments = self.deposits(ended, ring=True)
        await self._deposit(keys=keys, args=arguments)

    def deposits(self, ended: Sequence[Told], *, ring: bool) -> tuple[list[str], list[str | int]]:
        """Return the keys and arguments of the script that tells it.

        `ring` says whether workers hear of what may run now that these have left their lanes.
        """
        queue = self.queue
        arguments: list[str | int] = [round(queue.result_ttl * 1000), round(queue.mark_ttl * 1000), int(ring)]
        for command_id, generation, job_id, answer, then, lanes in ended:
            arguments += [str(command_id), generation, job_id, answer, then, len(lanes), *lanes]
        return self._lanes, arguments

    async def sweep(self, most: int) -> tuple[int, dict[UUID, int]]:
        """Look after commands that wait, at most at so many that nobody has looked at for a while.

        Returns how many were looked at, and whose job is gone: ids and generations.
        """
        looked, gone = await self._sweep(keys=self._lanes, args=[most])
        return looked, {UUID(command_id.decode()): int(generation) for command_id, generation in gone}

    async def _now(self) -> float:
        seconds, micros = await self.redis.time()
        return float(seconds * 1000 + micros / 1000)

    def _id_of(self, job_id: str) -> UUID:
        return command_uuid(job_id.removeprefix(f"{self.keys.queue}:"))
