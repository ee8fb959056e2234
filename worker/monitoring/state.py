"""How a queue stands now: what `worker status`, the metrics and the dashboard show.

What it asks of Redis and the database does not grow with what was done before.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from producers.wire import HELD, Keys

from ..database import transaction_options
from ..dead_letters import count_letters
from ..halt import halted
from ..health import workers
from ..outbox import OutboxRows
from ..refused import REASONS, counted
from ..types import utcnow
from . import statistics

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from ..app import App

_HOUR = 3600


async def state(app: App, redis: Redis) -> dict[str, Any]:
    """Tell how the queue stands, who works on it, and what came of it in the last hour; times in seconds.

    The endings of the last hour are those that workers committed, as counted with their signs of life.
    """
    keys = Keys(app.queue.name)
    return {
        **await queue(redis, keys),
        **(await halted(redis, keys)).told(),
        **await records(app),
        "workers": await workers(redis, keys),
        "endings_last_hour": await statistics.endings(redis, keys, seconds=_HOUR),
    }


async def queue(redis: Redis, keys: Keys) -> dict[str, Any]:
    """Tell what Redis knows: how many commands wait for what, how many run, how many were ever accepted.

    `refused` has how many jobs ever were, by each reason, and how many of the latest are `kept`.
    """
    seconds, micros = await redis.time()
    now = seconds * 1000 + micros / 1000
    async with redis.pipeline(transaction=True) as pipe:
        pipe.zcard(keys.queue)
        pipe.zrange(keys.queue, 0, 0, withscores=True)
        pipe.zcard(keys.waiting)
        pipe.zcard(keys.parked)
        pipe.get(keys.enqueued)
        pipe.hgetall(keys.refusals)
        pipe.llen(keys.refused)
        pipe.zcount(keys.queue, f"({now}", f"({HELD:.0f}")
        pipe.zcount(keys.queue, HELD, "+inf")
        pipe.zcount(keys.leases, f"({now}", "+inf")
        total, oldest, waiting, parked, enqueued, refused, kept, later, held, leased = await pipe.execute()
    running = min(leased, later)  # while it runs, a command stands at the end of its lease
    oldest_s = max(0.0, (now - oldest[0][1]) / 1000) if oldest else 0.0
    counts = {"due": total - later - held, "delayed": later - running, "in_lanes": waiting, "parked": parked}
    return {
        "queue": {"name": keys.queue, **counts, "oldest_s": round(oldest_s, 3)},
        "running": running,
        "enqueued": int(enqueued or 0),
        "refused": {"kept": kept, "by_reason": dict.fromkeys(REASONS, 0) | counted(refused)},
    }


async def records(app: App) -> dict[str, Any]:
    """Tell what the database knows: what the outbox has to publish, and the dead letters by state."""
    async with app.sessions() as session:
        await session.connection(execution_options=transaction_options(app.engine, read_only=True))
        now: datetime = (await session.execute(select(utcnow()))).scalar_one()
        letters = await count_letters(session, app.tables)
        unpublished, since = await OutboxRows(app.tables, app.queue.name).waiting(session)
    oldest_s = round((now - since).total_seconds(), 3) if since else 0.0
    return {"outbox": {"unpublished": unpublished, "oldest_s": oldest_s}, "dead_letters": letters}
