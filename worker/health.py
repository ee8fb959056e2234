"""What a worker needs before it can work, each with the way to mend it; and who is at work."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import AuthenticationError, RedisError

from producers import tls
from producers.errors import CommandError
from producers.wire import Keys

from .halt import halted
from .migrate import pending
from .retry import classify
from .sqlstates import sqlstate_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .app import App

OLDEST_REDIS = (7, 0)


class Check(NamedTuple):
    """One thing that was looked at; where it is well, `problem` and `warning` are empty.

    A worker does not start with a problem, and works with a warning. `found` is what there is.
    """

    name: str
    problem: str
    mend: str = ""
    warning: str = ""
    found: str = ""


class NotReady(CommandError):
    """The worker cannot start."""

    code = "not_ready"


async def ensure_ready(app: App, redis: Redis) -> None:
    """Raise NotReady, with what to do, at the first check that fails."""
    async for check in checks(app, redis):
        if check.problem:
            raise NotReady(f"{check.name}: {check.problem}; {check.mend}")


async def checks(app: App, redis: Redis) -> AsyncIterator[Check]:
    """Look at Redis, the database and the migrations, in the order in which they depend on each other."""
    server = await _redis_info(redis)
    if isinstance(server, str):
        yield Check("redis", server, "start it, or set REDIS_URL")
    else:
        yield _redis_version(server)
        yield _redis_policy(server)
        if (halt := await halted(redis, Keys(app.queue.name))).is_any:
            yield Check("queue", "", "run `python -m worker queue resume` to go on", halt.sentence)
    problem = await _database_problem(app)
    yield Check("database", problem, "start it, or set DATABASE_URL")
    if not problem:
        waiting = await pending(app.engine, schema=app.options.db_schema, also=app.migrations)
        yield Check(
            "migrations",
            f"not applied: {', '.join(waiting)}" if waiting else "",
            "run `python -m worker migrate`",
        )


async def workers(redis: Redis, keys: Keys) -> list[dict[str, Any]]:
    """Tell which worker processes gave a sign of life within the last nine seconds, by name."""
    names = [name.decode() for name in await redis.zrange(keys.workers, 0, -1)]
    values = await redis.mget([keys.worker(name) for name in sorted(names)]) if names else []
    return [json.loads(value) for value in values if value is not None]


def ailment(worker: dict[str, Any]) -> str:
    """Say what is wrong with one of them, by what it last said of itself; "" where it is well."""
    is_open = worker.get("breaker", "closed") != "closed"
    return worker.get("stopped") or ("takes no commands: it met a database that is away" if is_open else "")


async def _redis_info(redis: Redis) -> dict[str, Any] | str:
    try:
        return {**await redis.info("server"), **await redis.info("memory")}
    except AuthenticationError:
        return "refuses the user or password in REDIS_URL"
    except (RedisError, OSError) as error:
        return tls.problem(error) or f"does not answer ({type(error).__name__})"


def _redis_version(server: dict[str, Any]) -> Check:
    version = str(server.get("redis_version", ""))
    old = tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_REDIS
    return Check("redis version", f"{version} is too old" if old else "", "use Redis 7.0 or later")


def _redis_policy(server: dict[str, Any]) -> Check:
    policy = str(server.get("maxmemory_policy", "noeviction"))
    problem = (
        ""
        if policy == "noeviction"
        else f"maxmemory-policy is {policy}: when memory runs short Redis would delete commands"
    )
    return Check(
        "redis eviction",
        problem,
        "run `redis-cli config set maxmemory-policy noeviction` and put it into redis.conf",
    )


async def _database_problem(app: App) -> str:
    try:
        async with asyncio.timeout(app.options.commit_timeout), app.engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
    except Exception as error:  # noqa: BLE001  # drivers have many ways to say no
        return f"cannot connect ({_reason(error)})"
    return ""


def _reason(error: Exception) -> str:
    name, state = classify(error).error_class, sqlstate_of(error)
    return f"{name}, SQLSTATE {state}" if state else name
