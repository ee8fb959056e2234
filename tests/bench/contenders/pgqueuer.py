"""pgqueuer: the queue is in PostgreSQL."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer import Job as Received
from pgqueuer.core.completion import CompletionWatcher

from .. import job as work
from ..contender import Contender, Payload
from ..job import Job

_BULK = 1000
_BATCH, _MOST = 100, 200


def _dsn() -> str:
    return os.environ["DATABASE_URL"].replace("+asyncpg", "")


class PgQueuerContender(Contender):
    """pgqueuer."""

    title = "pgqueuer"
    setup = (
        f"asyncpg, uvloop, batches of {_BATCH}, at most {_MOST} jobs at hand for 20 sessions, durable tables"
    )
    packages = ("pgqueuer", "asyncpg")
    bulk = True
    noops = 40_000
    tables = ("pgqueuer", "pgqueuer_log", "pgqueuer_statistics")
    connection: Any
    queries: Queries
    watcher: CompletionWatcher

    def run(self) -> None:
        """Run a worker."""
        uvloop.run(_work())

    async def prepare(self) -> None:
        """Make its tables."""
        await self.open()
        await self.queries.install()
        await self.close()

    async def open(self) -> None:
        """Connect."""
        self.connection = await asyncpg.connect(_dsn())
        self.queries = Queries(AsyncpgDriver(self.connection))
        self.watcher = CompletionWatcher(
            AsyncpgDriver(self.connection), queries=self.queries, debounce=timedelta(milliseconds=1)
        )

    async def close(self) -> None:
        """Disconnect."""
        await self.connection.close()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Enqueue one."""
        return await self.queries.enqueue(job, json.dumps(payload).encode() if job == "insert" else None)

    async def send_many(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Enqueue a thousand at a time."""
        for first in range(0, len(payloads), _BULK):
            some = payloads[first : first + _BULK]
            bodies = [json.dumps(payload).encode() if job == "insert" else None for payload in some]
            await self.queries.enqueue([job] * len(some), bodies, [0] * len(some))

    async def result(self, sent: Any) -> None:
        """Wait for its end; pgqueuer keeps no results."""
        async with self.watcher as watcher:
            assert await watcher.wait_for(sent[0]) == "successful"


async def _work() -> None:
    worker = PgQueuer.from_asyncpg_connection(await asyncpg.connect(_dsn()))

    @worker.entrypoint("insert")
    async def insert(job: Received) -> None:
        await work.insert_user(json.loads(job.payload or b""))

    @worker.entrypoint("noop")
    async def noop(_job: Received) -> None:
        work.noop()

    await worker.run(batch_size=_BATCH, max_concurrent_tasks=_MOST)


CONTENDER = PgQueuerContender()
