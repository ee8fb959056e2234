"""The same insert without any queue, 20 side by side: `python -m tests.bench.limits WHAT COUNT`.

It prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from producers.commands import CreateUser
from producers.wire import Answer, Envelope, command_uuid
from worker import executor
from worker.delivery import Delivery, Failures
from worker.logs import configure
from worker.main import app
from worker.process import spare_the_collector
from worker.received import deserialize

from . import job as work

One = Callable[[Any], Awaitable[object]]
_INSERT = "INSERT INTO users (id, username, email, name, age) VALUES ($1, $2, $3, $4, $5)"
_WARM = 0.1
TIMES = {"asyncpg": 3, "session": 1, "executor": 1.5}
"""How many times as many rows as a drain has: without a queue they take less time."""
TITLES = {
    "asyncpg": "no queue: asyncpg BEGIN, INSERT, COMMIT",
    "session": "no queue: an ORM session per row",
    "executor": "no queue: our executor, from bytes to bytes",
}


async def asyncpg_alone(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Insert with nothing but the driver."""
    dsn = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    pool = await asyncpg.create_pool(dsn, min_size=work.SLOTS, max_size=work.SLOTS)

    async def one(row: tuple[Any, ...]) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_INSERT, *row)

    ready = [(UUID(row["id"]), row["username"], row["email"], row["name"], row["age"]) for row in rows]
    told = await side_by_side(one, ready)
    await pool.close()
    return told


async def session_alone(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Do the peers' job in a loop."""
    return await side_by_side(work.insert_user, rows)


async def executor_alone(rows: list[dict[str, Any]], *, slots: int = work.SLOTS) -> dict[str, Any]:
    """Run our executor as a worker process does, but for the queue: from a job's bytes to its answer's."""
    app.keep_connections()
    ready = [_job(row) for row in rows]
    spare_the_collector()
    told = await side_by_side(_execute, ready, slots)
    await app.close()
    return told


async def executor_latency(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Run our executor, one delivery at a time."""
    spent: list[float] = []
    app.keep_connections()
    for job in [_job(row) for row in rows]:
        await asyncio.sleep(0.01)
        begun = time.perf_counter()
        await _execute(job)
        spent.append((time.perf_counter() - begun) * 1000)
    await app.close()
    return {"ms": spent[5:]}


async def _execute(job: bytes) -> None:
    [received] = deserialize(job, app.registry)["a"]
    known, made = received.envelope, received.command
    answer = await executor.execute(
        app, Delivery(known.id, app.queue.name, job, known, no_failure, revived=made)
    )
    assert isinstance(answer, Answer), answer
    answer.encode()


async def no_failure(reason: str) -> Failures:
    raise AssertionError(reason)


async def side_by_side(one: One, ready: list[Any], slots: int = work.SLOTS) -> dict[str, Any]:
    """Do them all, `slots` at a time; time what follows the first tenth."""
    warm = int(len(ready) * _WARM)
    await _all(one, iter(ready[:warm]), slots)
    begun, used = time.perf_counter(), time.process_time()
    await _all(one, iter(ready[warm:]), slots)
    done = len(ready) - warm
    return {
        "rate": done / (time.perf_counter() - begun),
        "worker_cpu_ms": (time.process_time() - used) * 1000 / done,
    }


async def _all(one: One, ready: Iterator[Any], slots: int) -> None:
    async def some() -> None:
        for item in ready:
            await one(item)

    await asyncio.gather(*(some() for _ in range(slots)))


def _job(row: dict[str, Any]) -> bytes:
    """Make the bytes of a job, as producers and their script do."""
    command = CreateUser.model_validate(row)
    envelope = Envelope.of(command, command_uuid(str(command.id)))
    stamp = '{"accepted":1700000000000,"due":1700000000000,"deadline":null}'
    return f'{{"t":null,"f":"execute","k":{{}},"a":[{envelope.encode()},{stamp}],"et":0}}'.encode()


_LIMITS = {
    "asyncpg": asyncpg_alone,
    "session": session_alone,
    "executor": executor_alone,
    "executor_latency": executor_latency,
}


def main() -> None:
    """Read the command line."""
    configure(app.options)
    what, count = sys.argv[1], int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(_LIMITS[what](work.payloads(count)))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
