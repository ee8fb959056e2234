"""Worker processes that are killed and replaced, and what became of the commands."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import quantiles

from redis.asyncio import Redis
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from producers import Producer
from tests.chaos.app import MARKS, PATH, TRACE, Mark
from tests.processes import ROOT, environment_of
from worker.demo.servers import PostgresServer
from worker.tables import worker_tables


@dataclass
class Report:
    """What became of `sent` commands."""

    sent: int
    lost: int
    twice: int
    ended: dict[str, int]
    again: list[float] = field(default_factory=list)
    """Seconds from the end of a process to the next run of what it had in hand."""

    def line(self) -> str:
        """Say it in one line."""
        said = f"{self.sent} commands: {self.lost} lost, {self.twice} twice, endings {self.ended}"
        if len(self.again) > 1:
            p99 = quantiles(self.again, n=100)[98]
            soon = sum(seconds <= 15 for seconds in self.again)
            said += (
                f"; {len(self.again)} killed commands ran again, {soon} within 15 s, p99 after {p99:.1f} s"
            )
            said += f", at most {max(self.again):.1f} s"
        return said


class Crew:
    """Some worker processes; `ends` has the time at which each one ended."""

    def __init__(self, database_url: str, redis_url: str, trace_url: str, queue: str, count: int) -> None:
        settings = {"WORKER_LOG_LEVEL": "error", "WORKER_MAX_ATTEMPTS": "1000", "TRACE_URL": trace_url}
        settings |= {"WORKER_JOB_TIMEOUT": "30", "WORKER_CONCURRENCY": "10", "QUEUE_REDIS_RETRIES": "5"}
        self._environment = environment_of(database_url, redis_url, queue, **settings)
        self.ends: dict[int, float] = {}
        self.unasked = 0
        self.processes = [self._start() for _ in range(count)]
        self.since = [time.time()] * count

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "worker", "--app", PATH, "run"]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment)

    async def kill(self, chance: random.Random) -> None:
        """Kill one with SIGKILL that has been at work for a while, and start another in its place.

        What one had claimed and not begun leaves no trace: it counts as in the hands of the one before.
        """
        await asyncio.sleep(max(0, min(self.since) + 2 - time.time()))
        place = chance.choice([place for place, at in enumerate(self.since) if time.time() >= at + 2])
        process = self.processes[place]
        process.kill()
        process.wait()
        self.ends[process.pid] = time.time()
        self.processes[place], self.since[place] = self._start(), time.time()

    def end(self) -> None:
        """Stop all; count those that have ended by themselves."""
        self.unasked = sum(process.poll() is not None for process in self.processes)
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def prepared(postgres: PostgresServer) -> AsyncEngine:
    """Make the tables."""
    command = [sys.executable, "-m", "worker", "--app", PATH, "migrate"]
    environment = environment_of(postgres.url, "redis://localhost:1/0", "chaos")
    subprocess.run(command, check=True, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: ASYNC221
    engine = create_async_engine(postgres.url)
    async with engine.begin() as connection:
        await connection.run_sync(MARKS.metadata.drop_all)
        await connection.run_sync(MARKS.metadata.create_all)
        await connection.execute(text("TRUNCATE processed_commands, dead_letters"))
    return engine


async def ended(engine: AsyncEngine) -> int:
    """Count the commands that have an ending."""
    rows = select(func.count()).select_from(worker_tables(None).processed_commands)
    async with engine.connect() as connection:
        return int((await connection.execute(rows)).scalar_one())


async def until_all_have_ended(engine: AsyncEngine, count: int, *, patience: float) -> None:
    """Wait, at most for `patience` seconds."""
    give_up = time.monotonic() + patience
    while await ended(engine) < count and time.monotonic() < give_up:  # noqa: ASYNC110  # elsewhere
        await asyncio.sleep(0.2)


async def report(engine: AsyncEngine, trace: Redis, count: int, ends: dict[int, float]) -> Report:
    """Compare what was sent with what is there."""
    times = select(MARKS.c.number, func.count()).group_by(MARKS.c.number)
    endings = worker_tables(None).processed_commands.c.ending
    async with engine.connect() as connection:
        there: dict[int, int] = dict((await connection.execute(times)).tuples().all())
        by_ending: dict[str, int] = dict(
            (await connection.execute(select(endings, func.count()).group_by(endings))).tuples().all()
        )
    runs: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for line in await trace.lrange(TRACE, 0, -1):  # type: ignore[misc]
        number, pid, at = line.decode().split()
        runs[int(number)].append((int(pid), float(at)))
    again = [
        later - ends[pid]
        for tries in runs.values()
        for (pid, _), (_, later) in pairwise(tries)
        if pid in ends and later > ends[pid]
    ]
    lost = sum(number not in there for number in range(count))
    return Report(count, lost, sum(times > 1 for times in there.values()), by_ending, again)


async def send(producer: Producer, count: int) -> None:
    """Send the commands."""
    await producer.send_many([Mark(number=number) for number in range(count)])
