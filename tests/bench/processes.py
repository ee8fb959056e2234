"""The processes that the bench starts: senders, that tell in JSON, and workers, that are ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from .drive import NOT_INSTALLED
from .servers import Servers

APART = Path(sys.prefix) / "bench" / "bin" / "python"
_GRACE = 0.7
_LONGEST = 180.0


class NotInstalled(Exception):
    """A contender is not installed."""


class Failed(Exception):
    """A process of a contender failed."""


def python(*, apart: bool) -> str:
    """Return the interpreter of this environment, or of that of contenders that are apart."""
    return str(APART) if apart else sys.executable


def told(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run a process that tells one line of JSON."""
    try:
        ran = subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, timeout=_LONGEST
        )
    except FileNotFoundError:
        raise NotInstalled("its environment is not there") from None
    if ran.returncode == NOT_INSTALLED:
        raise NotInstalled(ran.stderr.strip().splitlines()[-1])
    if ran.returncode:
        raise Failed(f"{' '.join(command[1:])}: {ran.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


class Workers:
    """Worker processes of one contender, each a session of its own; ended on leaving, whatever happens."""

    def __init__(self, command: Sequence[str], servers: Servers, number: int, **environment: str) -> None:
        self._command, self._servers, self._number = command, servers, number
        self._environment = {**servers.environment, **environment}
        self._log = servers.folder / "worker.log"
        self._started: list[subprocess.Popen[bytes]] = []
        self.largest = 0

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._started = [
                subprocess.Popen(
                    self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
                )
                for _ in range(self._number)
            ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes = self.processes()
        for process in self._started:
            _signal_group(process, signal.SIGTERM)
        psutil.wait_procs(processes, timeout=_GRACE)
        for process in self._started:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        for left in processes:
            with suppress(psutil.Error):
                left.kill()
        psutil.wait_procs(processes, timeout=_GRACE)

    def processes(self) -> list[psutil.Process]:
        """List them and their children."""
        found: list[psutil.Process] = []
        for process in self._started:
            with suppress(psutil.Error):
                one = psutil.Process(process.pid)
                found += [one, *one.children(recursive=True)]
        return found

    def check(self) -> None:
        """Raise where one has ended by itself."""
        if any(process.poll() is not None for process in self._started):
            raise Failed(f"{' '.join(self._command[1:])} ended: {self.log()}")

    def log(self) -> str:
        """Return the end of what they have logged."""
        return self._log.read_text(errors="replace")[-2000:]

    def memory(self) -> int:
        """Return the bytes that they have in memory, and remember the most."""
        held = sum(_resident(process) for process in self.processes())
        self.largest = max(self.largest, held)
        return held


def cpu(processes: Iterable[psutil.Process]) -> float:
    """Return the seconds of a core that processes have used, and children of theirs that have ended."""
    used = 0.0
    for process in processes:
        with suppress(psutil.Error):
            used += sum(process.cpu_times()[:4])
    return used


def wait_until(what: str, done: Any, workers: Workers, *, limit: float = 30.0, pause: float = 0.01) -> None:
    """Wait until `done()`; raise where it takes too long."""
    until = time.monotonic() + limit
    while not done():
        workers.check()
        if time.monotonic() > until:
            raise Failed(f"{what} within {limit} s: {workers.log()}")
        time.sleep(pause)


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
