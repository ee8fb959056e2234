"""Keeps a server from outliving the process that asked for it, however that process ends.

A guard is a small process between the two: it starts the server, tells its pid, and waits. When its parent
is gone, be it by SIGTERM or SIGKILL, it stops the server and removes the server's folder. Linux's
PR_SET_PDEATHSIG would not do: it is tied to the thread that forked, unknown on macOS, and leaves the folder.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LOG = "server.log"
_WATCH_SECONDS = 0.2
_STOP_SECONDS = 10.0
_REMOVE_SECONDS = 2.0


class Owner(NamedTuple):
    """The account a server runs as, where that is not the caller's own."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "Owner":
        """Look an account up by its name."""
        entry = pwd.getpwnam(name)
        return cls(name, entry.pw_uid, entry.pw_gid)


class Guard:
    """The parent's side: a running server and the guard around it."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, stop_signal: signal.Signals, owner: Owner | None = None
    ) -> None:
        """Start `command` in `folder`; its output goes to `server.log` there."""
        arguments = [str(os.getpid()), str(int(stop_signal)), owner.name if owner else "", str(folder)]
        with (folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command, no shell
                [sys.executable, "-I", __file__, *arguments, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is the parent's to handle: it stops its servers in order
            )
        assert self._process.stdout is not None  # noqa: S101 -- stdout=PIPE
        with self._process.stdout as answer:
            told = answer.readline()
        self.pid = int(told) if told else None
        if self.pid is None:
            self._process.wait()  # it could not start the server; the log says why

    @property
    def running(self) -> bool:
        """Whether the server is still there."""
        return self._process.poll() is None

    def wait(self) -> bool:
        """Wait until the server ends by itself, and say whether it did so well."""
        return self._process.wait() == 0

    def end(self, how: signal.Signals) -> None:
        """Send the server a signal and wait until it is gone, by SIGKILL if it takes too long."""
        self._send(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait()

    def _send(self, how: signal.Signals) -> None:
        if self.running and self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)


def remove(folder: Path) -> None:
    """Remove a folder, also where a program that is just ending still writes into it."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    shutil.rmtree(folder, ignore_errors=True)
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(_WATCH_SECONDS / 10)
        shutil.rmtree(folder, ignore_errors=True)


def _watch(parent: int, stop_signal: int, owner: Owner | None, folder: Path, command: list[str]) -> int:
    """Run the server until it ends by itself or the parent is gone."""
    with (folder / LOG).open("ab") as log:
        server = subprocess.Popen(  # noqa: S603 -- the command our parent wrote, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.close()
    while os.getppid() == parent:
        with suppress(subprocess.TimeoutExpired):
            return server.wait(_WATCH_SECONDS)
    server.send_signal(stop_signal)
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    remove(folder)
    return 0


def _main() -> int:
    parent, stop_signal, owner, folder, *command = sys.argv[1:]
    return _watch(int(parent), int(stop_signal), Owner.named(owner) if owner else None, Path(folder), command)


if __name__ == "__main__":
    sys.exit(1 if _main() else 0)
