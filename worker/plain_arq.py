"""Our commands on arq's own Worker: the one arq function, and the settings for the `arq` command.

What arq would do to a job by itself (end it at the first exception, expire it, give up after so many tries,
end what it cannot read) is out of the way: `deserialize` never raises, `execute` raises nothing but RetryJob,
job keys have no time to live, attempts are counted by us.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from arq.connections import RedisSettings
from arq.worker import RetryJob, func
from redis.exceptions import RedisError

from producers.connection import sentinels
from producers.signing import Signing

from . import tracing
from .delivering import ABORTED, carry_out, refusal
from .delivery import Later
from .deposits import Answered
from .health import ensure_ready
from .logs import log
from .presence import Presence
from .received import Received, deserialize, serialize
from .service import NEVER, SIGN_OF_LIFE, UNSETTLED_PAUSE, ended, longest, redis_pool, start, stop
from .transport import Transport

if TYPE_CHECKING:
    from producers.settings import QueueSettings

    from .app import App


async def execute(ctx: dict[str, Any], received: Received) -> None:
    """Run one job: deliver it to the executor, then settle what came of it."""
    transport: Transport = ctx["transport"]
    presence: Presence = ctx["presence"]
    job_id: str = ctx["job_id"]
    began = time.monotonic()
    with presence:
        try:
            if (pause := await refusal(ctx, received)) is not None:
                if pause:
                    await transport.reschedule(job_id, pause)
                raise RetryJob  # noqa: TRY301  # it is for arq
            if ctx["score"] > ABORTED and (early := await transport.early(received)):
                await transport.reschedule(job_id, early)
                raise RetryJob  # noqa: TRY301  # it is for arq
            delivery, outcome = await carry_out(ctx, received)
            if isinstance(outcome, Later):
                await transport.reschedule(job_id, outcome.delay)
                raise RetryJob  # noqa: TRY301  # it is for arq
            answered = Answered(job_id, delivery, outcome)
            await transport.deposit(answered)
        except RetryJob:
            raise
        except BaseException as error:
            # arq ends a job that raises anything else; cancelled or cut off from Redis, it runs again.
            log.info("command.handed_back", job_id=job_id, error=type(error).__name__)
            if isinstance(error, Exception):
                with suppress(RedisError, OSError):
                    await transport.reschedule(job_id, UNSETTLED_PAUSE)
            raise RetryJob from error
    presence.finished += 1
    ended(transport.app.tally, answered, received.due, began)


def worker_settings(app: App) -> type:
    """Make the class that the `arq` command takes: each setting is in its own namespace, where arq looks."""
    options, queue = app.options, app.queue

    async def on_startup(ctx: dict[str, Any]) -> None:
        tracing.begin()
        await ensure_ready(app, ctx["redis"])
        await start(app, ctx, burst=True)  # it may be one: arq does not say

    async def on_shutdown(ctx: dict[str, Any]) -> None:
        await stop(app, ctx)

    settings = {
        "functions": [func(execute, name="execute", max_tries=NEVER, keep_result=0, timeout=longest(app))],
        "queue_name": queue.name,
        "redis_settings": _redis_settings(queue),
        "redis_pool": redis_pool(app),
        "job_deserializer": partial(deserialize, signing=Signing.of(queue)),
        "job_serializer": serialize,
        "on_startup": on_startup,
        "on_shutdown": on_shutdown,
        "max_jobs": app.slots,
        "job_completion_wait": options.shutdown_timeout,
        "poll_delay": options.poll_delay,
        # Jobs in hand, and those of a killed worker, stay at the head of arq's window: others start behind.
        "queue_read_limit": max(1000, 5 * app.slots),
        "health_check_interval": SIGN_OF_LIFE,
        "job_timeout": longest(app),
        "keep_result": 0,
        "allow_abort_jobs": False,
        "log_results": False,
    }
    return type("WorkerSettings", (), settings)


def _redis_settings(queue: QueueSettings) -> RedisSettings:
    """Say to arq where Redis is, for `arq --check`; its worker has our pool."""
    led = sentinels(queue)
    if led is None:
        return RedisSettings.from_dsn(queue.redis_url)
    settings = RedisSettings.from_dsn(led.url)
    return replace(settings, host=led.addresses, sentinel=True, sentinel_master=led.master)
