"""Everything around a worker that can be set in a way that will hurt, each with the way to mend it.

`health.py` asks what a worker needs to start; this looks for what one finds out late: a setting that is
misspelt, a server that forgets, clocks apart, too few connections.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from producers.wire import Keys

from ..health import Check, checks, workers
from ..types import utcnow
from .database import examine_database
from .redis import examine_redis
from .setting import unknown_settings, versions

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from ..app import App

__all__ = ["examine"]

_APART, _FAR_APART = 1.0, 300.0


async def examine(app: App, redis: Redis) -> AsyncIterator[Check]:
    """Look at the settings, the versions, Redis, the database, the clocks and the workers.

    What does not answer is told, and what depends on it is left out.
    """
    for check in (*unknown_settings(os.environ), versions()):
        yield check
    answers = {"redis": True}
    async for check in checks(app, redis):
        answers[check.name] = not check.problem
        yield check
    at_work: list[dict[str, Any]] = []
    if answers["redis"]:
        at_work = await workers(redis, Keys(app.queue.name))
        for check in await examine_redis(redis, app.queue.headroom):
            yield check
    if answers["database"]:
        for check in await examine_database(app, len(at_work)):
            yield check
    if answers["redis"] and answers["database"]:
        yield await _clocks(app, redis)
    if answers["redis"]:
        nobody = "" if at_work else "none is at work on this queue"
        yield Check("workers", "", "start one: `python -m worker run`", nobody, f"{len(at_work)} at work")


async def _clocks(app: App, redis: Redis) -> Check:
    """Compare the clocks of all three, each read between two looks at our own."""
    before = time.time()
    seconds, micros = await redis.time()
    of_redis = seconds + micros / 1e6 - (before + time.time()) / 2
    async with app.transaction(read_only=True) as session:
        before = time.time()
        now = (await session.execute(select(utcnow()))).scalar_one()
        of_database = now.timestamp() - (before + time.time()) / 2
    return clocks({"this host": 0.0, "Redis": of_redis, "the database": of_database})


def clocks(ahead: dict[str, float]) -> Check:
    """Judge clocks by how many seconds each is ahead of this host's."""
    told = ", ".join(f"{name} {value:+.1f} s" for name, value in ahead.items())
    mend = "have all hosts follow a time server (chrony, systemd-timesyncd)"
    if abs(ahead["Redis"] - ahead["the database"]) > _FAR_APART:
        return Check("clocks", f"{told}: commands may be taken for too old", mend)
    apart = max(ahead.values()) - min(ahead.values())
    return Check("clocks", "", mend, told if apart > _APART else "", told)
