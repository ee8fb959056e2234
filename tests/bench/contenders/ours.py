"""Ours: `python -m worker run` with the example's App, exactly once; for no-ops the engine alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import uvloop
from arq.connections import ArqRedis, create_pool

from producers import Producer
from producers.commands import CreateUser
from worker.engine import Worker

from ..contender import Contender, Payload
from ..job import SLOTS, Job
from . import arq


class Ours(Contender):
    """This project."""

    title = "ours"
    setup = "python -m worker run: exactly once, a row of the ending in each transaction; no-ops: the engine"
    packages = ("crud-worker", "arq", "redis")
    bulk = True
    slots_variable = "WORKER_CONCURRENCY"
    noops = 40_000
    tables = ("processed_commands", "dead_letters")
    environment: ClassVar[dict[str, str]] = {"WORKER_LOG_LEVEL": "warning", slots_variable: str(SLOTS)}
    producer: Producer
    redis: ArqRedis

    def worker(self, job: Job) -> list[str]:
        """Run the real worker, or for no-ops the engine."""
        return ["-m", "worker", "run"] if job == "insert" else super().worker(job)

    def run(self) -> None:
        """Run the engine."""
        asyncio.set_event_loop(uvloop.new_event_loop())
        settings = arq.WorkerSettings
        Worker(functions=settings.functions, redis_settings=settings.redis_settings, max_jobs=SLOTS).run()

    async def open(self) -> None:
        """Connect."""
        self.producer = Producer()
        self.redis = await create_pool(arq.WorkerSettings.redis_settings)

    async def close(self) -> None:
        """Disconnect."""
        await self.producer.close()
        await self.redis.aclose()

    def ready(self, payloads: Sequence[Payload]) -> Sequence[Any]:
        """Make commands."""
        return [CreateUser.model_validate(payload) for payload in payloads]

    async def send(self, job: Job, payload: Any) -> Any:
        """Send one command."""
        return await self.producer.send(payload if job == "insert" else CreateUser.model_validate(payload))

    async def send_many(self, job: Job, payloads: Sequence[Any]) -> None:  # noqa: ARG002
        """Send them in round trips of a thousand."""
        await self.producer.send_many(payloads)

    async def result(self, sent: Any) -> None:
        """Wait for the result."""
        await sent.result(timeout=10)

    async def fill(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Send commands; for no-ops, jobs of arq's."""
        if job == "insert":
            await self.producer.send_many(self.ready(payloads))
        else:
            await arq.fill(self.redis, job, payloads)


CONTENDER = Ours()
