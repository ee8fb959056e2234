"""The demo's worker: `python -m worker run` as a process of its own, and what it writes into its log."""

import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from .guard import LOG, Guard, remove
from .programs import ServerError

_START_SECONDS = 30.0
_POLL_SECONDS = 0.02


class WorkerProcess:
    """Started on entering, stopped in order on leaving; its guard sees to it that it never outlives us."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._guard: Guard | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The worker itself."""
        return self._guard.pid if self._guard else None

    @property
    def log(self) -> str:
        """What it has written so far: lines of JSON, and what it said when it could not start."""
        return (self._folder / LOG).read_text(errors="replace") if self._folder else ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of its log that tell of `event`, so far."""
        whole, _, _half = self.log.rpartition("\n")
        entries = (json.loads(line) for line in whole.split("\n") if line.startswith("{"))
        return [entry for entry in entries if entry["event"] == event]

    def close(self) -> None:
        """Let it finish what it has in hand, and remove its log."""
        if self._guard is not None:
            self._guard.end(signal.SIGTERM)
            self._guard = None
        if self._folder is not None:
            remove(self._folder)
            self._folder = None

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="crud-worker-"))
        command = [sys.executable, "-m", "worker", "run"]
        self._guard = Guard(command, folder=self._folder, stop_signal=signal.SIGTERM)
        deadline = time.monotonic() + _START_SECONDS
        while not self.logged("worker.started"):
            if not self._guard.running or time.monotonic() > deadline:
                raise ServerError(f"the worker did not start:\n{self.log}")
            time.sleep(_POLL_SECONDS)
