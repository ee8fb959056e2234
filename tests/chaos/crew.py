"""Worker processes that are killed, stopped and replaced."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.app import PATH
from tests.processes import ROOT, environment_of

_SETTLED = 2.0
"""Seconds after which a process has surely begun to work."""
GRACE = 20.0


def _listens(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process would hear SIGTERM, or is gone."""
    if process.poll() is not None:
        return True
    status = Path(f"/proc/{process.pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> signal.SIGTERM - 1 & 1)


class Crew:
    """Some worker processes; `ends` has the time at which each killed one ended, `unasked` the others.

    With `again` a process that ends by itself is started again, as a supervisor would.
    """

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        trace_url: str,
        queue: str,
        *,
        count: int,
        again: bool = False,
    ) -> None:
        settings = {"WORKER_LOG_LEVEL": "error", "WORKER_MAX_ATTEMPTS": "5", "TRACE_URL": trace_url}
        settings |= {"WORKER_JOB_TIMEOUT": "30", "WORKER_CONCURRENCY": "10", "QUEUE_REDIS_RETRIES": "5"}
        settings |= {"WORKER_COMMIT_TIMEOUT": "5", "WORKER_SHUTDOWN_TIMEOUT": str(GRACE)}
        self._settings = environment_of(database_url, redis_url, queue, **settings)
        self._count, self._again = count, again
        self.ends: dict[int, float] = {}
        self.unasked = 0
        self.codes: list[int] = []
        """How those ended that were told to stop."""
        self.slowest = 0.0
        """Seconds that the slowest of these took."""
        self.processes: list[subprocess.Popen[bytes]] = []
        self.since: list[float] = []
        self._looking: asyncio.Task[None] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the crew lives

    def start(self, *environments: dict[str, str]) -> None:
        """Start all of them; each may have an environment of its own beside the common one."""
        self._environments = [*environments, *[{}] * (self._count - len(environments))]
        self.processes = [self._start(place) for place in range(self._count)]
        self.since = [time.time()] * self._count
        self._looking = asyncio.create_task(self._look_after())

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "worker", "--app", PATH, "run"]
        environment = self._settings | self._environments[place]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self._log, stderr=self._log)

    @property
    def is_gone(self) -> bool:
        """Whether all have ended, and nobody starts them again."""
        return bool(self.processes) and all(process.poll() is not None for process in self.processes)

    @property
    def log(self) -> str:
        """What they have logged, errors only."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace")

    async def settled(self, chance: random.Random) -> int:
        """Choose a process that has been at work for a while.

        What one had claimed and not begun leaves no trace: it would count as in the hands of the one before.
        """
        await asyncio.sleep(max(0, min(self.since) + _SETTLED - time.time()))
        return chance.choice([place for place, at in enumerate(self.since) if time.time() >= at + _SETTLED])

    async def kill(self, chance: random.Random) -> None:
        """Kill one with SIGKILL, and start another in its place."""
        place = await self.settled(chance)
        process = self.processes[place]
        process.kill()
        process.wait()
        self.ends[process.pid] = time.time()
        self._replace(place)

    async def deploy(self, place: int, environment: dict[str, str]) -> None:
        """Tell one to stop, and start another in its place, with an environment of its own."""
        await asyncio.sleep(max(0, self.since[place] + _SETTLED - time.time()))
        while not _listens(self.processes[place]):  # noqa: ASYNC110  # on a busy machine it takes longer
            await asyncio.sleep(0.05)
        process, began = self.processes[place], time.monotonic()
        self.since[place] = float("inf")  # it ends because it was asked to
        process.send_signal(signal.SIGTERM)
        while process.poll() is None and time.monotonic() < began + 2 * GRACE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.codes.append(-9 if process.poll() is None else process.wait())
        self._environments[place] = environment
        self._replace(place)

    def _replace(self, place: int) -> None:
        self.processes[place], self.since[place] = self._start(place), time.time()

    async def _look_after(self) -> None:
        while True:
            for place, process in enumerate(self.processes):
                if process.poll() is not None and self.since[place] != float("inf"):
                    self.unasked += 1
                    if self._again:
                        self._replace(place)
                    else:
                        self.since[place] = float("inf")
            await asyncio.sleep(0.1)

    async def end(self) -> None:
        """Stop all."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                await asyncio.to_thread(process.wait, 60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
