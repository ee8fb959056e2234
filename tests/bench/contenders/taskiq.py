"""taskiq on Redis streams."""

from __future__ import annotations

import os
from typing import Any

from taskiq import AsyncBroker
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from .. import job as work
from ..contender import Contender, Payload
from ..job import SLOTS, Job

_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
_QUICK = 0.002

broker: AsyncBroker = RedisStreamBroker(_URL, consumer_id="0")  # jobs that came before the first worker too
if os.environ.get("BENCH_ANSWERS"):
    broker = broker.with_result_backend(RedisAsyncResultBackend(_URL, result_ex_time=600))


@broker.task(task_name="insert")
async def insert(payload: Payload) -> str:
    """Insert one user."""
    return await work.insert_user(payload)


@broker.task(task_name="noop")
async def noop() -> None:
    """Do nothing."""
    work.noop()


class Taskiq(Contender):
    """taskiq."""

    title = "taskiq"
    setup = (
        "Redis streams, one worker process of its command (it uses uvloop), 20 tasks, no parsing of its own"
    )
    packages = ("taskiq", "taskiq-redis", "redis")

    def worker(self, job: Job) -> list[str]:  # noqa: ARG002
        """Run its command."""
        command = ["-m", "taskiq", "worker", "tests.bench.contenders.taskiq:broker", "--workers", "1"]
        return [*command, "--max-async-tasks", str(SLOTS), "--no-parse", "--log-level", "WARNING"]

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Send one."""
        return await (insert.kiq(payload) if job == "insert" else noop.kiq())

    async def result(self, sent: Any) -> None:
        """Look each 2 ms; its own default is 0.2 s."""
        (await sent.wait_result(check_interval=_QUICK, timeout=10)).raise_for_error()


CONTENDER = Taskiq()
