"""How fast `load` is, beside asyncpg's own insert of the same rows: `python -m tests.bench.load_rate [ROWS]`.

On a PostgreSQL and a Redis of its own, in one run: asyncpg inserts the rows in transactions of 1,000, once by
executemany and once by one INSERT with many VALUES; then the same rows go from a CSV through two workers.
No part of `make test`: what it measures is this machine.
"""

import asyncio
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import asyncpg

from worker.demo.servers import PostgresServer, RedisServer

Rows = list[tuple[Any, ...]]
COLUMNS = ("id", "username", "email", "name", "age")
TRANSACTION = 1000


def people(count: int) -> Iterator[tuple[Any, ...]]:
    """Make the rows."""
    for n in range(count):
        yield UUID(int=n + 1), f"user-{n:07}", f"user-{n:07}@example.com", f"Somebody Number {n}", n % 100


def write_table(path: Path, count: int) -> None:
    """Write them as CSV, without their ids."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS[1:])
        writer.writerows(row[1:] for row in people(count))


async def executemany(connection: Any, rows: Rows) -> None:
    """Insert a thousand rows as most people would."""
    await connection.executemany(f"INSERT INTO users ({', '.join(COLUMNS)}) VALUES ($1,$2,$3,$4,$5)", rows)  # noqa: S608


async def many_values(connection: Any, rows: Rows) -> None:
    """Insert a thousand rows by one statement."""
    width = len(COLUMNS)
    values = ",".join(
        "(" + ",".join(f"${row * width + column + 1}" for column in range(width)) + ")"
        for row in range(len(rows))
    )
    await connection.execute(
        f"INSERT INTO users ({', '.join(COLUMNS)}) VALUES {values}",  # noqa: S608
        *(value for row in rows for value in row),
    )


async def by_asyncpg(dsn: str, count: int, insert: Callable[[Any, Rows], Awaitable[None]]) -> float:
    """Insert the rows on one connection, and return rows per second."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE users CASCADE")
    rows = people(count)
    begun = time.perf_counter()
    while batch := list(islice(rows, TRANSACTION)):
        async with connection.transaction():
            await insert(connection, batch)
    spent = time.perf_counter() - begun
    await connection.execute("TRUNCATE users CASCADE")
    await connection.close()
    return count / spent


@contextmanager
def workers(environment: dict[str, str], log: Path) -> Iterator[list[int]]:
    """Run two worker processes; give their ids."""
    command = [sys.executable, "-m", "worker", "run", "--processes", "2"]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stderr=output) as process:
        try:
            while log.read_bytes().count(b"worker.started") < 2:  # both of them
                time.sleep(0.05)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield [int(child) for child in children]
        finally:
            process.terminate()


def peak(process: int) -> int:
    """Return the most memory that a process has had, in KiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def cpu(process: int) -> float:
    """Return the seconds of a core that a process has used."""
    stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and tell."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with PostgresServer(tcp=True) as postgres, RedisServer() as redis, TemporaryDirectory() as folder:
        environment = {**os.environ, "DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        subprocess.run([sys.executable, "-m", "worker", "migrate"], env=environment, check=True)
        dsn = postgres.url.replace("+asyncpg", "")
        told = {}
        for insert in (executemany, many_values):
            told[insert.__name__] = asyncio.run(by_asyncpg(dsn, count, insert))
        path = Path(folder) / "users.csv"
        write_table(path, count)
        with workers(environment, Path(folder) / "log") as processes:
            command = [sys.executable, "-m", "producers", "load", str(path), "--as", "user.create", "--wait"]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            begun = time.perf_counter()
            ran = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            told["load"] = count / (time.perf_counter() - begun)
            memory = [peak(process) // 1024 for process in processes]
            used = [cpu(process) for process in processes]
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            loading = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.loads(ran.stdout))  # noqa: T201
    for name, rate in told.items():
        print(f"{name}: {rate:,.0f} rows/s; load is {told['load'] / rate:.2f} of it")  # noqa: T201
    print(f"seconds of a core: loader {loading:.1f}, workers {used}")  # noqa: T201
    print(f"most memory: loader (or the largest child) {after.ru_maxrss // 1024} MiB, workers {memory} MiB")  # noqa: T201


if __name__ == "__main__":
    main()
