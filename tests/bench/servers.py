"""A PostgreSQL that waits for the disk, and a Redis that keeps nothing: the same for every contender.

While one worker process is measured both are confined to one half of the cores, as if they were on another
machine. Where they may run anywhere, the system now and then takes the worker's core for them, and what is
measured is how often.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg
import redis

from worker.demo.servers import PostgresServer, RedisServer

_TABLES = ("users",)
_CORES = range(os.cpu_count() or 1)
_THEIRS = _CORES[len(_CORES) // 2 :]
CONFINES = len(_CORES) > 1 and hasattr(psutil.Process, "cpu_affinity")


class Servers:
    """Both servers, and what the bench asks of them."""

    def __init__(self, postgres: PostgresServer, cache: RedisServer, folder: Path) -> None:
        self.postgres, self.redis_server, self.folder = postgres, cache, folder
        self.environment = {
            **os.environ,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": cache.url,
            "BENCH_FOLDER": str(folder),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])),
        }
        self.run_on(_THEIRS)
        self.redis = redis.Redis.from_url(cache.url)
        self._connection = psycopg.connect(postgres.url.replace("+asyncpg", ""), autocommit=True)

    def run_on(self, cores: Sequence[int]) -> None:
        """Have both servers, and what they start from now on, run on these cores, where that can be said."""
        for process in self.processes() if CONFINES else ():
            with suppress(psutil.NoSuchProcess):  # PostgreSQL's own come and go
                process.cpu_affinity([*cores])

    def run_beside(self, pid: int) -> None:
        """Have another process run where the servers do."""
        if CONFINES:
            psutil.Process(pid).cpu_affinity([*_THEIRS])

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """Let the servers run on all cores meanwhile."""
        self.run_on(_CORES)
        try:
            yield
        finally:
            self.run_on(_THEIRS)

    def clear(self, tables: Sequence[str] = ()) -> None:
        """Empty queues and tables, and have PostgreSQL write out what it has still to write."""
        self.redis.flushall()
        for path in self.folder.glob("*.count"):
            path.unlink()
        there = self._names()
        known = [table for table in (*_TABLES, *tables) if table in there]
        self._execute(f"TRUNCATE {', '.join(known)} RESTART IDENTITY CASCADE")
        self._execute("CHECKPOINT")

    def analyze(self, tables: Sequence[str]) -> None:
        """Have PostgreSQL know what is in these tables, as it does after a while by itself."""
        for table in tables:
            self._execute(f"ANALYZE {table}")

    def users(self) -> int:
        """Count the users."""
        return self._number("SELECT count(*) FROM users")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let nobody write users meanwhile: workers start, take jobs, and wait."""
        with self._connection.transaction():
            self._execute("LOCK TABLE users IN EXCLUSIVE MODE")
            yield

    def waiting(self) -> int:
        """Count who waits for that lock."""
        return self._number("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def processes(self) -> list[psutil.Process]:
        """List the processes of both servers."""
        found = [psutil.Process(self.postgres.pid), psutil.Process(self.redis_server.pid)]
        return [*found, *found[0].children(recursive=True)]

    def versions(self) -> dict[str, str]:
        """Say which servers these are."""
        said: Any = self.redis.info("server")
        name = "valkey" if "valkey_version" in said else "redis"
        shown = self._connection.execute("SHOW server_version").fetchone()
        settings = [
            f"{setting}={value[0]}"
            for setting in ("fsync", "synchronous_commit", "full_page_writes")
            if (value := self._connection.execute(f"SHOW {setting}".encode()).fetchone())
        ]
        return {
            "postgresql": f"{shown[0] if shown else '?'} ({', '.join(settings)})",
            name: f"{said[f'{name}_version']} (nothing kept on disk)",
        }

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()
        self.redis.close()

    def _names(self) -> set[str]:
        rows = self._connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}

    def _execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def _number(self, statement: str) -> int:
        row = self._connection.execute(statement.encode()).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def started() -> Iterator[Servers]:
    """Start both, and migrate; end and remove both."""
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(tcp=True))
        cache = stack.enter_context(RedisServer())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        servers = Servers(postgres, cache, folder)
        stack.callback(servers.close)
        command = [sys.executable, "-m", "worker", "migrate"]
        subprocess.run(command, env=servers.environment, check=True, stdout=subprocess.DEVNULL)
        yield servers
