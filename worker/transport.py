"""Between arq and the executor: the one arq function, and what it says to Redis.

arq 0.28 is the transport and no more. What it would do to a job by itself (end it at the first exception,
expire it, give up after so many tries, end what it cannot read) is out of the way: `deserialize` never
raises, `execute` raises nothing but RetryJob, job keys have no time to live, attempts are counted here.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from arq.connections import ArqRedis, RedisSettings
from arq.worker import RetryJob, func
from redis.exceptions import RedisError

from producers.connection import connect
from producers.wire import Answer, Keys, command_uuid

from . import executor
from .delivery import Delivery, Failures, Later
from .health import ensure_ready
from .logs import configure, log
from .presence import Presence
from .received import Received, deserialize, serialize

if TYPE_CHECKING:
    from .app import App

_NEVER = 2**31 - 1
"""arq's max_tries: attempts are counted by us."""
_UNSETTLED_PAUSE = 1.0
_SIGN_OF_LIFE = 15
"""Seconds between two, for `arq --check`; any worker that stops takes it down, and arq's own is an hour."""


class Transport:
    """What one worker process says to Redis about the jobs it runs."""

    def __init__(self, app: App, redis: ArqRedis) -> None:
        self.app, self.redis, self.keys = app, redis, Keys(app.queue.name)
        here = Path(__file__)
        self._count, self._reschedule, self._deposit = (
            redis.register_script(here.with_name(f"{name}.lua").read_text())
            for name in ("count_failure", "reschedule", "deposit")
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
            expired=deadline is not None and await self._now() > deadline,
            accepted_at=datetime.fromtimestamp(accepted / 1000, UTC) if accepted else None,
            count=lambda reason: self.count(job_id, reason),
        )

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

    async def deposit(self, job_id: str, delivery: Delivery, answer: Answer) -> None:
        """Leave the answer where its producer waits, unless the command has been replayed since."""
        queue, at = self.app.queue, delivery.command_id
        await self._deposit(
            keys=[self.keys.mark(at), self.keys.result(at), self.keys.failures(job_id)],
            args=[
                answer.encode(),
                delivery.generation,
                round(queue.result_ttl * 1000),
                round(queue.mark_ttl * 1000),
            ],
        )

    async def _now(self) -> float:
        seconds, micros = await self.redis.time()
        return float(seconds * 1000 + micros / 1000)

    def _id_of(self, job_id: str) -> UUID:
        return command_uuid(job_id.removeprefix(f"{self.keys.queue}:"))


async def execute(ctx: dict[str, Any], received: Received) -> None:
    """Run one job: deliver it to the executor, then settle what came of it."""
    transport: Transport = ctx["transport"]
    presence: Presence = ctx["presence"]
    job_id: str = ctx["job_id"]
    started = time.monotonic()
    with presence.running():
        try:
            delivery = await transport.delivery(job_id, received, first=ctx["job_try"] == 1)
            early = await transport.early(received)
            outcome = Later(early) if early else await executor.execute(transport.app, delivery)
            if isinstance(outcome, Later):
                await transport.reschedule(job_id, outcome.delay)
            else:
                await transport.deposit(job_id, delivery, outcome)
        except BaseException as error:
            # arq ends a job that raises anything else; cancelled or cut off from Redis, it runs again.
            log.info("command.handed_back", job_id=job_id, error=type(error).__name__)
            if isinstance(error, Exception):
                with suppress(RedisError, OSError):
                    await transport.reschedule(job_id, _UNSETTLED_PAUSE)
            raise RetryJob from error
    if isinstance(outcome, Later):
        raise RetryJob
    presence.finished += 1
    spent = round((time.monotonic() - started) * 1000)
    ended = {"ending": outcome.ending.value, "code": _code(outcome), "ms": spent}
    log.info("command.ended", **executor.about(delivery), **ended)


def _code(answer: Answer) -> str | None:
    return None if answer.error is None else str(answer.error.get("code"))


def worker_settings(app: App) -> type:
    """Make the class that the `arq` command takes: each setting is in its own namespace, where arq looks."""
    options, queue = app.options, app.queue
    # The longest that `execute` can take by its own limits, and then some: arq's timeout is a last resort.
    longest = options.job_timeout + 6 * options.commit_timeout

    async def on_startup(ctx: dict[str, Any]) -> None:
        await ensure_ready(app, ctx["redis"])
        await start(app, ctx)

    async def on_shutdown(ctx: dict[str, Any]) -> None:
        await stop(app, ctx)

    settings = {
        "functions": [func(execute, name="execute", max_tries=_NEVER, keep_result=0, timeout=longest)],
        "queue_name": queue.name,
        "redis_settings": RedisSettings.from_dsn(queue.redis_url),
        "redis_pool": redis_pool(app),
        "job_deserializer": deserialize,
        "job_serializer": serialize,
        "on_startup": on_startup,
        "on_shutdown": on_shutdown,
        "max_jobs": app.slots,
        "job_completion_wait": options.shutdown_timeout,
        "poll_delay": options.poll_delay,
        # Jobs in hand, and those of a killed worker, stay at the head of arq's window: others start behind.
        "queue_read_limit": max(1000, 5 * app.slots),
        "health_check_interval": _SIGN_OF_LIFE,
        "job_timeout": longest,
        "keep_result": 0,
        "allow_abort_jobs": False,
        "log_results": False,
    }
    return type("WorkerSettings", (), settings)


def redis_pool(app: App) -> ArqRedis:
    """Make connections that time out and try again, which arq's own do not."""
    pool: ArqRedis = connect(app.queue, ArqRedis)
    pool.job_serializer, pool.job_deserializer = serialize, deserialize
    pool.default_queue_name = app.queue.name
    return pool


async def start(app: App, ctx: dict[str, Any]) -> None:
    """Say that this process is there."""
    if not structlog.is_configured():  # the `arq` command does not come by our command line
        configure(app.options)
    ctx["transport"] = Transport(app, ctx["redis"])
    ctx["presence"] = Presence(ctx["redis"], Keys(app.queue.name), app.slots)
    ctx["presence"].start()
    log.info("worker.started", queue=app.queue.name, slots=app.slots, kinds=len(app.registry))


async def stop(app: App, ctx: dict[str, Any]) -> None:
    """Take the sign of life down and close the engine."""
    if "presence" in ctx:
        await ctx["presence"].stop()
        log.info("worker.stopped", finished=ctx["presence"].finished)
    await app.close()
