"""A server of one's own in a temporary folder: what PostgreSQL and Redis have in common here."""

import os
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from .guard import LOG, Guard, Owner, remove
from .loopback import free_port
from .programs import ServerError

_START_SECONDS = 30.0
_POLL_SECONDS = 0.02
# A socket's path has to fit into 104 bytes (macOS).
_LONGEST_TEMPORARY_FOLDER = 60


class PrivateServer(ABC):
    """Started on entering, stopped and removed, data and all, on leaving.

    `stop` and `start` keep the data; so do `restart` and `kill`, which are there for tests of faults.
    """

    graceful: ClassVar[signal.Signals]
    immediate: ClassVar[signal.Signals]

    def __init__(self, *, owner: Owner | None = None) -> None:
        self.port = free_port()
        self.owner = owner
        self._folder: Path | None = None
        self._guard: Guard | None = None
        self._was_ready = False

    @abstractmethod
    def _prepare(self) -> None:
        """Fill the folder, once, before the first start."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Say how the server is started."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether the server takes connections."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, in the form of DATABASE_URL or REDIS_URL."""

    @property
    def folder(self) -> Path:
        """The temporary folder with data, socket and log."""
        if self._folder is None:
            raise ServerError("not started")
        return self._folder

    @property
    def pid(self) -> int:
        """The server's own process."""
        if self._guard is None or self._guard.pid is None:
            raise ServerError("not running")
        return self._guard.pid

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self.folder / LOG).read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        if self._guard is not None and self._guard.running:
            return
        if self._folder is None:
            self._folder = _new_folder(self.owner)
            self._prepare()
        deadline = time.monotonic() + _START_SECONDS
        while not self._attempt(deadline):
            time.sleep(_POLL_SECONDS)

    def _attempt(self, deadline: float) -> bool:
        """Start once; False asks for another try, since what a killed one held is not let go of at once."""
        log = self.folder / LOG
        before = log.stat().st_size if log.exists() else 0
        self._guard = Guard(self._command(), folder=self.folder, stop_signal=self.immediate, owner=self.owner)
        while self._guard.running and time.monotonic() < deadline:
            if self._ready():
                self._was_ready = True
                return True
            time.sleep(_POLL_SECONDS)
        self._guard.end(signal.SIGKILL)
        said = log.read_bytes()[before:].decode(errors="replace")
        if "in use" in said and time.monotonic() < deadline:
            if not self._was_ready:  # nobody knows its address yet; another server chose the same port
                self.port = free_port()
            return False
        raise ServerError(f"{type(self).__name__} did not start:\n{said}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and keep its data; `immediate` leaves it to recover at the next start."""
        self._end(self.immediate if immediate else self.graceful)

    def kill(self) -> None:
        """Kill the server with SIGKILL, as the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def restart(self, *, immediate: bool = True) -> None:
        """Stop and start again on the same address and the same data."""
        self.stop(immediate=immediate)
        self.start()

    def close(self) -> None:
        """Stop the server and remove everything it has written."""
        self.stop(immediate=True)
        if self._folder is not None:
            remove(self._folder)
            self._folder = None

    def _end(self, how: signal.Signals) -> None:
        if self._guard is not None:
            self._guard.end(how)
            self._guard = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close()


def _new_folder(owner: Owner | None) -> Path:
    """Make a folder that only the server's account can enter, at a short path that it can reach."""
    usual = tempfile.gettempdir()
    shared = "/tmp"  # noqa: S108 -- mkdtemp makes the name, and nobody else can enter
    where = shared if owner or len(usual) > _LONGEST_TEMPORARY_FOLDER else usual
    folder = Path(tempfile.mkdtemp(prefix="crud-worker-", dir=where))
    if owner:
        os.chown(folder, owner.uid, owner.gid)
    return folder
