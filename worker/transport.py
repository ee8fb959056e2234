"""What a worker says to Redis about the jobs it runs, beyond what arq or the engine says by itself."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from producers.wire import Ending, Keys, command_uuid

from .clock import Clock
from .delivery import Delivery, Failures
from .deposits import Answered, Deposits
from .engine import Script
from .lanes import Lanes
from .received import Received
from .refused import Refused
from .suspects import Suspicions

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .app import App

_COUNT, _RESCHEDULE = (Script.beside(__file__, name) for name in ("count_failure", "reschedule"))


class Transport:
    """What one worker process says to Redis about the jobs it runs."""

    def __init__(self, app: App, redis: Redis, clock: Clock | None = None) -> None:
        self.app, self.redis, self.keys = app, redis, Keys(app.queue.name)
        self.clock = clock or Clock()
        self.deposits, self.lanes = Deposits(redis, app.queue), Lanes(redis, self.keys)
        self.suspicions, self.refused = Suspicions(redis, self.keys), Refused(redis, self.keys)
        self._count, self._reschedule = (
            redis.register_script(script.text) for script in (_COUNT, _RESCHEDULE)
        )

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
            began_at=self.clock.now(),
            lanes=stamp.get("lanes", ()),
            count=lambda reason: self.count(job_id, reason),
            holds=self.lanes.holds,
            revived=received.command,
        )

    async def released(self, command_id: UUID) -> float:
        """When a person set a command free, in seconds since 1970; 0 where nobody did."""
        reading: Any = self.redis.hget(self.keys.mark(command_id), "released")
        return float(await reading or 0) / 1000

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
        await self.deposits.tell([answered.told(self.app.registry)])

    async def _now(self) -> float:
        seconds, micros = await self.redis.time()
        return float(seconds * 1000 + micros / 1000)

    def _id_of(self, job_id: str) -> UUID:
        return command_uuid(job_id.removeprefix(f"{self.keys.queue}:"))
