"""celery on Redis: two processes, and psycopg."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from .. import job as work
from .. import job_in_threads
from ..contender import Contender, Payload
from ..job import Job

_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
_CHILDREN = 2

app = Celery("bench", broker=_URL, backend=_URL)
app.conf.update(
    task_ignore_result=not os.environ.get("BENCH_ANSWERS"),
    worker_prefetch_multiplier=50,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="insert")
def insert(payload: Payload) -> str:
    """Insert one user."""
    return job_in_threads.insert_user(payload)


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""
    work.noop()


class CeleryContender(Contender):
    """celery."""

    title = "celery"
    setup = "prefork, two processes per worker, prefetch 50, psycopg, no gossip; results only where measured"
    packages = ("celery", "kombu", "redis", "psycopg")
    slots = _CHILDREN
    noops = 4000

    def worker(self, job: Job) -> list[str]:  # noqa: ARG002
        """Run its command."""
        command = ["-m", "celery", "-A", "tests.bench.contenders.celery:app", "worker", "-l", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*command, "-P", "prefork", "-c", str(_CHILDREN), *quiet]

    async def open(self) -> None:
        """Do nothing: it connects when it sends."""

    async def close(self) -> None:
        """Disconnect."""
        app.close()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Send one."""
        return insert.delay(payload) if job == "insert" else noop.delay()

    async def result(self, sent: Any) -> None:
        """Wait; Redis tells of it."""
        sent.get(timeout=10)


CONTENDER = CeleryContender()
