"""procrastinate: the queue is in PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

import uvloop
from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from .. import job as work
from ..contender import Contender, Payload
from ..job import SLOTS, Job

_BULK = 1000

app = App(
    connector=PsycopgConnector(
        conninfo=os.environ.get("DATABASE_URL", "").replace("+asyncpg", ""), min_size=4, max_size=SLOTS
    )
)


@app.task(name="insert")
async def insert(payload: Payload) -> str:
    """Insert one user."""
    return await work.insert_user(payload)


@app.task(name="noop")
async def noop() -> None:
    """Do nothing."""
    work.noop()


class Procrastinate(Contender):
    """procrastinate."""

    title = "procrastinate"
    setup = (
        "psycopg, uvloop, concurrency 20, told by NOTIFY, jobs that have ended are deleted; it has no results"
    )
    packages = ("procrastinate", "psycopg")
    bulk = True
    answers = False
    tables = ("procrastinate_jobs", "procrastinate_events", "procrastinate_workers")

    def run(self) -> None:
        """Run a worker."""
        uvloop.run(_work())

    async def prepare(self) -> None:
        """Make its tables."""
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        """Connect."""
        await app.open_async()

    async def close(self) -> None:
        """Disconnect."""
        await app.close_async()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Defer one."""
        return await (insert.defer_async(payload=payload) if job == "insert" else noop.defer_async())

    async def send_many(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Defer a thousand at a time."""
        for first in range(0, len(payloads), _BULK):
            some = payloads[first : first + _BULK]
            if job == "insert":
                await insert.batch_defer_async(*[cast("JSONDict", {"payload": payload}) for payload in some])
            else:
                await noop.batch_defer_async(*[{} for _ in some])


async def _work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=SLOTS, delete_jobs="successful")


CONTENDER = Procrastinate()
