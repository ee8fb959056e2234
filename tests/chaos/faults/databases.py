"""Faults of PostgreSQL, and of the way to its COMMIT."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.chaos.faults.fault import Fault
from tests.chaos.field import Field
from tests.proxy import Way


async def commits(field: Field) -> None:
    """Cut, silence or a shutdown between a COMMIT and its answer."""
    await field.send(field.changes(2_000, 200))
    await field.begin()
    proxy, times = field.before_postgres, field.count(100)
    for number in range(times):
        how = ("cut", "silence", "shutdown")[number % 10 // 8 + (number % 10 == 9)]
        act = {"cut": proxy.cut, "silence": proxy.blackhole, "shutdown": lambda: _shut_down(field)}[how]
        seen = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"COMMIT\0" in data, act)
        try:
            await asyncio.wait_for(seen.wait(), 60)
        except TimeoutError:
            break  # all have ended
        if how == "silence":
            await asyncio.sleep(6)  # longer than WORKER_COMMIT_TIMEOUT
            proxy.cut()
            proxy.resume()
        await asyncio.sleep(field.chance.uniform(0, 0.2))


def _shut_down(field: Field) -> None:
    place = field.chance.randrange(4)
    field.crew.processes[place].send_signal(signal.SIGTERM)
    field.crew.processes[place].send_signal(signal.SIGTERM)  # at once: what runs is cancelled


async def postgres_restarts(field: Field) -> None:
    """Twenty times in the manner of a crash; then it is gone for two minutes."""
    await field.send(field.changes(10_000, 500))
    await field.begin()
    async for _ in field.often(20):
        await asyncio.to_thread(field.postgres.restart)
    await asyncio.to_thread(field.postgres.stop, immediate=True)
    await asyncio.sleep(120 * min(1, field.scale))
    await asyncio.to_thread(field.postgres.start)
    await field.on_again()


async def refusals(field: Field) -> None:
    """Read-only, a full disk, another password: each for a while."""
    await field.send(field.changes(2_000, 200))
    # This full disk is that of one table, so a probe finds the database well, and attempts are counted: on a
    # busy machine, where it lasts longer, more than the five that the crew has.
    await field.begin(*[{"WORKER_MAX_ATTEMPTS": "20"}] * 4)
    for share, (wrong, right) in enumerate(_REFUSALS, 1):
        await field.part(share / 5)
        await _say(field, wrong)
        field.before_postgres.cut()  # a new password, or a new default, is for new connections
        await asyncio.sleep(5)
        await _say(field, right)
        await field.on_again(8)


_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger
AS $$ BEGIN RAISE EXCEPTION SQLSTATE '53100'; END $$ LANGUAGE plpgsql
"""
_REFUSALS = (
    (
        ["ALTER SYSTEM SET default_transaction_read_only = on"],
        ["ALTER SYSTEM RESET default_transaction_read_only"],
    ),
    (
        [_FULL, "CREATE TRIGGER full_disk BEFORE INSERT ON journal EXECUTE FUNCTION full_disk()"],
        ["DROP TRIGGER full_disk ON journal", "DROP FUNCTION full_disk"],
    ),
    (["ALTER USER postgres PASSWORD 'another'"], ["ALTER USER postgres PASSWORD '{password}'"]),
)


async def _say(field: Field, statements: Sequence[str]) -> None:
    """Say it by the socket in the server's own folder, where no password is asked for."""
    address = field.engine.url
    where = f"postgresql+asyncpg://postgres@/postgres?host={field.postgres.folder}&port={address.port}"
    engine = create_async_engine(where, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SET default_transaction_read_only = off")
        for statement in statements:
            await connection.exec_driver_sql(statement.replace("{password}", str(address.password)))
        await connection.exec_driver_sql("SELECT pg_reload_conf()")
    await engine.dispose()


async def slow(field: Field) -> None:
    """Every packet to and from both servers takes 200 ms, give or take 100; PostgreSQL stands for 5 s."""
    await field.begin()
    await asyncio.sleep(4)  # they make sure of their servers, for which there is a limit
    for proxy in (field.before_redis, field.before_postgres):
        proxy.delay = lambda: field.chance.uniform(0.1, 0.3)
    await field.send(field.changes(2_000, 200))
    await field.part(0.3)
    _signal_all(field.postgres.pid, signal.SIGSTOP)
    await asyncio.sleep(5)
    _signal_all(field.postgres.pid, signal.SIGCONT)
    await field.part(0.6)
    for proxy in (field.before_redis, field.before_postgres):
        proxy.delay = None


def _signal_all(server: int, number: signal.Signals) -> None:
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for pid in (server, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


FAULTS = [
    Fault(
        commits,
        "connection cut, silent, or the worker shut down between COMMIT and its answer",
        2_000,
        options={"again": True},
    ),
    Fault(
        postgres_restarts,
        "PostgreSQL restarted (immediate) 20 times; gone for two minutes",
        10_000,
        quick=0.05,
    ),
    Fault(refusals, "PostgreSQL read-only, disk full, password changed", 2_000, quick=0.2),
    Fault(slow, "200 ms ± 100 on every packet; PostgreSQL 5 s slow", 2_000, patience=300, quick=0.05),
]
