"""SAQ on Redis, under uvloop."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import uvloop
from saq import Queue
from saq.runner import run

from .. import job as work
from ..contender import Contender, Payload
from ..job import SLOTS, Job

queue = Queue.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))


async def insert(_ctx: Any, *, payload: Payload) -> str:
    """Insert one user."""
    return await work.insert_user(payload)


async def noop(_ctx: Any) -> None:
    """Do nothing."""
    work.noop()


settings = {"queue": queue, "functions": [insert, noop], "concurrency": SLOTS}


class Saq(Contender):
    """SAQ."""

    title = "SAQ"
    setup = "its worker under uvloop, concurrency 20, log at warning; its sender has no bulk"
    packages = ("saq", "redis")

    def run(self) -> None:
        """Run a worker."""
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        run("tests.bench.contenders.saq.settings")

    async def open(self) -> None:
        """Connect."""
        await queue.connect()

    async def close(self) -> None:
        """Disconnect."""
        await queue.disconnect()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Enqueue one."""
        return await (queue.enqueue(job, payload=payload) if job == "insert" else queue.enqueue(job))

    async def result(self, sent: Any) -> None:
        """Wait; Redis tells of it."""
        await sent.refresh(until_complete=10)
        assert sent.status == "complete", sent


CONTENDER = Saq()
