"""Workers and command lines as processes of their own, the way an operator starts them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import forks
from tests.waiting import until

ROOT = Path(__file__).parents[1]
WORKER = (sys.executable, "-m", "worker")
ARQ = (sys.executable, "-m", "arq")

SHORT = {
    "QUEUE_REDIS_RETRIES": "1",
    "WORKER_CONCURRENCY": "5",
    "WORKER_JOB_TIMEOUT": "5",
    "WORKER_COMMIT_TIMEOUT": "2",
    "WORKER_BACKOFF": "0.05",
    "WORKER_BACKOFF_CAP": "0.1",
    "WORKER_SHUTDOWN_TIMEOUT": "10",
}


def environment_of(database_url: str, redis_url: str, queue: str, **settings: str) -> dict[str, str]:
    """Make the environment of a worker with short limits; `settings` go before them."""
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "QUEUE_NAME": queue}
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("QUEUE_", "WORKER_"))
    }
    return {**inherited, "PYTHONPATH": str(ROOT), **SHORT, **servers, **settings}


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """The same without coverage: for code that is none of ours, or that starts again and again."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


async def command_line(
    *arguments: str, environment: dict[str, str], program: tuple[str, ...] = WORKER, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m worker ARGUMENTS` to its end; what it printed is text."""
    if program[:2] == WORKER[:2] and program[2] in forks.PROGRAMS and environment["PYTHONPATH"] == str(ROOT):
        return await forks.run(
            program[2], arguments, folder=ROOT, environment=environment, stdin=stdin, limit=30
        )
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, out.decode(), err.decode())


class Process:
    """A process that goes on until it is told to stop; killed on leaving the block if it is still there."""

    def __init__(
        self, *arguments: str, environment: dict[str, str], program: tuple[str, ...] = WORKER
    ) -> None:
        self._arguments, self._environment = [*program, *arguments], environment
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed on leaving
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._arguments, cwd=ROOT, env=self._environment, stdout=self._output, stderr=self._output
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What it has printed so far, on stdout and stderr."""
        return os.pread(self._output.fileno(), 1 << 24, 0).decode(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log about one event."""
        whole = self.output.split("\n")[:-1]
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    async def says(self, text: str, *, times: int = 1) -> None:
        """Wait until it has printed `text`; fail where it ends before that."""

        def said() -> bool:
            return self.output.count(text) >= times

        await until(lambda: said() or self._process.poll() is not None)
        assert said(), f"ended with {self._process.returncode} before it said {text!r}:\n{self.output}"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> int:
        """Wait until it has ended; return its exit code."""
        await until(lambda: self._process.poll() is not None)
        return self._process.wait()

    async def stop(self) -> int:
        """Ask it to end with SIGTERM, and wait."""
        self.send(signal.SIGTERM)
        return await self.end()

    def kill(self) -> None:
        """End it with SIGKILL, and wait."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            sys.stderr.write(self.output)
        self._output.close()
