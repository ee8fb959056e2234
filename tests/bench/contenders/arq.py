"""arq as it comes: the `arq` command and its defaults."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.constants import default_queue_name, job_key_prefix
from arq.jobs import serialize_job
from uuid_utils.compat import uuid7

from .. import job as work
from ..contender import Contender, Payload
from ..job import Job

_DAY = 86_400_000
_PIPELINE = 1000
_QUICK = 0.002


async def insert(_ctx: dict[str, Any], payload: Payload) -> str:
    """Insert one user."""
    return await work.insert_user(payload)


async def noop(_ctx: dict[str, Any]) -> None:
    """Do nothing."""
    work.noop()


class WorkerSettings:
    """What the `arq` command reads."""

    functions: ClassVar[list[Any]] = [insert, noop]
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


class Arq(Contender):
    """arq with its defaults."""

    title = "arq, as it comes"
    setup = "the arq command with its defaults: 10 slots, a look each 0.5 s, the standard event loop"
    packages = ("arq", "redis")
    slots = 10
    noops = 2000
    redis: ArqRedis

    def worker(self, job: Job) -> list[str]:  # noqa: ARG002
        """Run the `arq` command."""
        return ["-m", "arq", "tests.bench.contenders.arq.WorkerSettings"]

    async def open(self) -> None:
        """Connect."""
        self.redis = await create_pool(WorkerSettings.redis_settings)

    async def close(self) -> None:
        """Disconnect."""
        await self.redis.aclose()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Enqueue one."""
        arguments = (payload,) if job == "insert" else ()
        return await self.redis.enqueue_job(job, *arguments)

    async def result(self, sent: Any) -> None:
        """Look each 2 ms; arq's own default is 0.5 s."""
        await sent.result(timeout=10, poll_delay=_QUICK)

    async def fill(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Write what enqueue_job writes, in pipelines: arq has no such call."""
        await fill(self.redis, job, payloads)


async def fill(redis: ArqRedis, job: Job, payloads: Sequence[Payload], score: int = 1) -> None:
    """Write arq's own keys, in pipelines."""
    for first in range(0, len(payloads), _PIPELINE):
        async with redis.pipeline(transaction=False) as pipe:
            for payload in payloads[first : first + _PIPELINE]:
                name = uuid7().hex
                body = serialize_job(job, (payload,) if job == "insert" else (), {}, None, score)
                pipe.psetex(job_key_prefix + name, _DAY, body)
                pipe.zadd(default_queue_name, {name: score})
            await pipe.execute()


CONTENDER = Arq()
