"""dramatiq on Redis: threads, and psycopg."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware.prometheus import Prometheus
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from .. import job as work
from .. import job_in_threads
from ..contender import Contender, Payload
from ..job import SLOTS, Job

_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
_ANSWERS = bool(os.environ.get("BENCH_ANSWERS"))

broker = RedisBroker(url=_URL)
broker.middleware[:] = [one for one in broker.middleware if not isinstance(one, Prometheus)]
if _ANSWERS:
    broker.add_middleware(Results(backend=RedisBackend(url=_URL)))
dramatiq.set_broker(broker)
_OPTIONS: dict[str, Any] = {"store_results": True} if _ANSWERS else {}


@dramatiq.actor(actor_name="insert", **_OPTIONS)
def insert(payload: Payload) -> str:
    """Insert one user."""
    return job_in_threads.insert_user(payload)


@dramatiq.actor(actor_name="noop")
def noop() -> None:
    """Do nothing."""
    work.noop()


class Dramatiq(Contender):
    """dramatiq."""

    title = "dramatiq"
    setup = "its command: one process, 20 threads, sessions on psycopg; results only where they are measured"
    packages = ("dramatiq", "redis", "psycopg")

    def worker(self, job: Job) -> list[str]:  # noqa: ARG002
        """Run its command."""
        module = "tests.bench.contenders.dramatiq"
        return ["-m", "dramatiq", f"{module}:broker", "--processes", "1", "--threads", str(SLOTS)]

    async def open(self) -> None:
        """Do nothing: it connects when it sends."""

    async def close(self) -> None:
        """Disconnect."""
        broker.close()

    async def send(self, job: Job, payload: Payload) -> Any:
        """Send one."""
        return insert.send(payload) if job == "insert" else noop.send()

    async def result(self, sent: Any) -> None:
        """Wait; Redis tells of it."""
        sent.get_result(block=True, timeout=10_000)


CONTENDER = Dramatiq()
