"""Several worker processes under one: started, restarted with growing pauses, and stopped by one signal."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .logs import log

if TYPE_CHECKING:
    from .monitoring.reports import Heard, Reports

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HEALTHY_AFTER = 60.0


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    reported: Heard
    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Runs `command` in `processes` processes; with `restart`, one that ends unasked is started again.

    They are told the pipe by which to report, and hear by it that the supervisor was killed: `--report-to`.
    """

    def __init__(
        self, command: Sequence[str], processes: int, reports: Reports, *, restart: bool = True
    ) -> None:
        self.command, self.restart, self.reports = list(command), restart, reports
        self.stopping = False
        self.failed = False
        self.heard: deque[int] = deque()
        self.children: list[_Child] = []
        self.count = processes

    def run(self) -> int:
        """Run until all processes have ended; return the exit code: 0 unless one failed for good."""
        before = {number: signal.signal(number, self._hear) for number in _stop_signals()}
        try:
            self.children = [_Child(*self._spawn()) for _ in range(self.count)]
            while self.children:
                if self.heard:
                    self._pass_on(self.heard.popleft())
                self.children = [child for child in self.children if self._keep(child)]
                time.sleep(0.05)
        finally:
            for child in self.children:
                child.process.kill()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self.failed else 0

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Heard]:
        # A session of its own: Ctrl-C reaches the children once, through us, and not from the terminal too.
        with self.reports.of_process() as heard:
            command = [*self.command, f"--report-to={heard.pipe}"]
            process = subprocess.Popen(command, start_new_session=True, pass_fds=[heard.pipe])  # noqa: S603  # our own command line
        return process, heard

    def _hear(self, number: int, _frame: object) -> None:
        # Passed on by the loop: a process that is being started right now would not be told here.
        self.heard.append(number)

    def _pass_on(self, number: int) -> None:
        self.stopping = True
        for child in self.children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    def _keep(self, child: _Child) -> bool:
        """Look after one process; False where it is done with."""
        code = child.process.poll()
        if code is None:
            return True
        child.reported.has_ended = True
        if self.stopping or not self.restart:
            self.failed = self.failed or (code != 0 and not self.stopping)
            return False
        if child.restart_at is None:
            lived = time.monotonic() - child.started
            child.failures = 1 if lived > _HEALTHY_AFTER else child.failures + 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (child.failures - 1))
            child.restart_at = time.monotonic() + pause
            log.warning("worker.restarted", ended_pid=child.process.pid, exit_code=code, again_in=pause)
        elif time.monotonic() >= child.restart_at:
            child.process, child.reported = self._spawn()
            child.started, child.restart_at = time.monotonic(), None
        return True


def _stop_signals() -> list[signal.Signals]:
    """List what stops us: the terminal that closes as well, unless nohup has said otherwise."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] + ([] if ignored else [signal.SIGHUP])
