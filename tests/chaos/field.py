"""All that a fault may act on: servers and workers of its own, proxies between them, and what was sent."""

import asyncio
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from producers import Atomic, Command, Producer, QueueSettings
from tests.chaos.app import METADATA, PATH, TRACE, Change
from tests.chaos.crew import Crew
from tests.chaos.verdict import Sent, Verdict, verdict
from tests.processes import ROOT, environment_of
from tests.proxy import Proxy
from worker.demo.servers import PostgresServer, RedisServer
from worker.tables import worker_tables

QUEUE = "chaos"


@dataclass
class Field:
    """Where a fault happens."""

    engine: AsyncEngine
    postgres: PostgresServer
    redis: RedisServer
    before_redis: Proxy
    before_postgres: Proxy
    trace: Redis
    producer: Producer
    crew: Crew
    chance: random.Random
    scale: float
    patience: float | None = None
    """Seconds that nothing is waited for longer than."""
    found: Verdict | None = None
    """What was found before the servers of a fault's own were gone."""
    sent: Sent = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)
    """What there is to say besides; one that begins with "BAD" is a failure."""

    def count(self, whole: int) -> int:
        """How many there are of `whole` in this run."""
        return max(1, round(whole * self.scale))

    async def begin(self, *environments: dict[str, str]) -> None:
        """Start the crew, and let it begin: a worker that cannot reach its servers at its start ends."""
        self.crew.start(*environments)
        await asyncio.sleep(4)

    async def send(self, commands: Iterable[Command[Any]], **options: Any) -> list[UUID]:
        """Send commands, a thousand at a time, and remember them."""
        receipts = await self.producer.send_many(commands, **options)
        self.sent |= {receipt.command_id: receipt.command for receipt in receipts}  # type: ignore[misc]
        return [receipt.command_id for receipt in receipts]

    def changes(self, count: int, accounts: int) -> Sequence[Command[Any]]:
        """Make so many of `count` changes of as large a part of the accounts; one in twenty is about two."""
        made: list[Command[Any]] = []
        names_of = range(max(2, self.count(accounts)))
        for number in range(len(self.sent), len(self.sent) + self.count(count)):
            names = self.chance.sample(names_of, 2)
            parts = [self._change(f"a{name}", number) for name in names]
            made.append(Atomic(parts) if self.chance.random() < 0.05 else parts[0])
        return made

    def _change(self, name: str, number: int) -> Change:
        what = self.chance.choices(["put", "add", "remove"], [3, 6, 1])[0]
        return Change(name=name, number=number, change=what, by=self.chance.randrange(100))  # type: ignore[arg-type]

    async def ended(self) -> int:
        """Count the commands that have an ending."""
        rows = select(func.count()).select_from(worker_tables(None).processed_commands)
        async with self.engine.connect() as connection:
            return int((await connection.execute(rows)).scalar_one())

    async def part(self, share: float, *, patience: float = 300) -> None:
        """Wait until that share of the commands has ended."""
        await self.until(round(len(self.sent) * share), patience=patience)

    async def often(self, whole: int, *, patience: float = 300) -> AsyncIterator[int]:
        """Give the numbers from 1 to so many of `whole`, each when that much of the work is done."""
        times = self.count(whole)
        for number in range(1, times + 1):
            await self.part(number / (times + 5), patience=patience)
            yield number

    async def until(self, count: int, *, patience: float) -> None:
        """Wait until so many have ended, at most for so many seconds."""
        give_up = time.monotonic() + min(patience, self.patience or patience)
        while time.monotonic() < give_up and not self.crew.is_gone:
            try:
                if await self.ended() >= count:
                    return
            except Exception:  # noqa: BLE001, S110  # the database is away: that may be the fault
                pass
            await asyncio.sleep(0.2)

    async def on_again(self, limit: float = 5.0) -> None:
        """Note how long it takes, from now, until another command has ended."""
        before, began = await self.ended(), time.monotonic()
        if before >= len(self.sent):
            return
        await self.until(before + 1, patience=60)
        took = time.monotonic() - began
        is_late = took > limit and self.scale >= 1  # the small ones report times, and judge none
        self.notes.append(f"{'BAD: ' if is_late else ''}on again after {took:.1f} s")

    async def again(self) -> None:
        """Note how soon killed commands ran again, by the trace that each run leaves."""
        runs: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for line in await self.trace.lrange(TRACE, 0, -1):  # type: ignore[misc]
            number, pid, at = line.decode().split()
            runs[int(number)].append((int(pid), float(at)))
        ends = self.crew.ends
        found = [
            later - ends[pid]
            for tries in runs.values()
            for (pid, _), (_, later) in pairwise(tries)
            if pid in ends and later > ends[pid]
        ]
        if len(found) > 1:
            p99 = quantiles(found, n=100)[98]
            self.notes.append(f"{len(found)} killed commands ran again, p99 after {p99:.1f} s")

    async def look(self) -> Verdict:
        """Compare what was sent with what is there."""
        return await verdict(self.engine, self.producer.redis, self.producer.keys, self.sent)


@asynccontextmanager
async def open_field(
    *, seed: int, scale: float, workers: int = 4, again: bool = False, patience: float | None = None
) -> AsyncIterator[Field]:
    """Start servers, make the tables, and leave the starting of workers to the fault."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(tcp=True))
        redis = stack.enter_context(RedisServer(appendonly=True))
        trace_server = stack.enter_context(RedisServer())
        trace = await stack.enter_async_context(Redis.from_url(trace_server.url))
        engine = create_async_engine(postgres.url, poolclass=NullPool)
        await _prepare(engine, postgres)
        url, parts = make_url(postgres.url), urlsplit(redis.url)
        before_redis = await stack.enter_async_context(Proxy(parts.hostname or "", parts.port or 0))
        before_postgres = await stack.enter_async_context(Proxy(str(url.host), url.port or 5432))
        behind = parts._replace(netloc=f"{before_redis.host}:{before_redis.port}").geturl()
        behind_postgres = url.set(host=before_postgres.host, port=before_postgres.port)
        producer = await stack.enter_async_context(
            Producer(settings=QueueSettings(redis_url=redis.url, name=QUEUE))
        )
        database_url = behind_postgres.render_as_string(hide_password=False)
        crew = Crew(database_url, behind, trace_server.url, QUEUE, count=workers, again=again)
        chance = random.Random(seed)  # noqa: S311  # not a secret
        proxies = before_redis, before_postgres
        try:
            yield Field(engine, postgres, redis, *proxies, trace, producer, crew, chance, scale, patience)
        finally:
            await crew.end()
            await engine.dispose()


async def _prepare(engine: AsyncEngine, postgres: PostgresServer) -> None:
    command = [sys.executable, "-m", "worker", "--app", PATH, "migrate"]
    environment = environment_of(postgres.url, "redis://localhost:1/0", QUEUE)
    await asyncio.to_thread(
        subprocess.run, command, check=True, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL
    )
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.drop_all)
        await connection.run_sync(METADATA.create_all)
        await connection.execute(text("TRUNCATE processed_commands, dead_letters"))
