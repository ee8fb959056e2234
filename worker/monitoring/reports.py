"""What worker processes report to their supervisor, each by a pipe of its own: a line of JSON every second.

The event loop of the process writes it: where that stands still no report comes, and the supervisor sees it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from typing import cast

from .progress import PATIENCE
from .standing import Standing
from .tally import Tally

_EVERY = 1.0
_STARTING = 30.0
"""Seconds within which a process has to report for the first time."""
_SILENT = "nothing was heard of it for {:.0f} s: a handler blocks its event loop; restart it"


class Reporter:
    """Reports of this process, by the pipe `to`; `on_lost` hears that nobody reads it any more."""

    def __init__(
        self,
        to: int,
        tally: Tally,
        standing: Callable[[], Standing],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        os.set_inheritable(to, False)  # noqa: FBT003  # what a handler starts must not hold it open
        self._file, self._tally, self._standing = os.fdopen(to, "wb"), tally, standing
        self._on_lost, self._pipe = on_lost, cast("asyncio.WriteTransport | None", None)
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to report."""
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_write_pipe(partial(_Pipe, self._lost), self._file)
        self._writing = loop.create_task(self._report_on())

    async def stop(self) -> None:
        """Report for the last time."""
        if self._pipe is None or self._writing is None:
            return
        self._writing.cancel()
        await asyncio.wait({self._writing})
        self._write()
        pipe, self._pipe = self._pipe, None
        pipe.close()

    async def _report_on(self) -> None:
        while True:
            self._write()
            await asyncio.sleep(_EVERY)

    def _write(self) -> None:
        if self._pipe is None or self._pipe.is_closing():
            return
        if not self._pipe.get_write_buffer_size():  # else it has not read the last
            report = {"standing": self._standing(), "tally": self._tally.dump()}
            self._pipe.write(json.dumps(report).encode() + b"\n")

    def _lost(self) -> None:
        if self._pipe is not None:
            self._pipe = None
            self._on_lost()


class _Pipe(asyncio.BaseProtocol):
    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost

    def connection_lost(self, _: Exception | None) -> None:
        self._on_lost()


@dataclass(slots=True, eq=False)
class Heard:
    """What was heard of one process, by its `pipe`, and when: by the monotonic clock.

    Who knows that the process has ended says so: what it forked may hold the pipe open for long.
    """

    pipe: int
    has_ended: bool = False
    tally: Tally = field(default_factory=Tally)
    standing: Standing = field(default_factory=Standing)
    at: float = field(default_factory=time.monotonic)
    patience: float = _STARTING


class Reports:
    """What all processes of a supervisor have reported; those that have ended count on in the tally."""

    def __init__(self) -> None:
        self._heard: list[Heard] = []
        self._ended, self._lock = Tally(), Lock()

    @contextmanager
    def of_process(self) -> Iterator[Heard]:
        """Give the pipe for a process that is started within, and what is heard by it from then on."""
        ours, theirs = os.pipe()
        heard = Heard(theirs)
        try:
            yield heard
        finally:
            os.close(theirs)
            Thread(target=self._hear, args=[ours, heard], name="reports", daemon=True).start()

    def tally(self) -> Tally:
        """Return what all of them have done."""
        whole = Tally()
        with self._lock:
            for tally in (self._ended, *(heard.tally for heard in self._heard)):
                whole.add(tally)
        return whole

    def standings(self) -> list[Standing]:
        """Tell how those that run now stand."""
        with self._lock:
            return [_now(heard) for heard in self._heard if not heard.has_ended]

    def _hear(self, pipe: int, heard: Heard) -> None:
        """Hear one process, until nobody holds its pipe any more."""
        with self._lock:
            self._heard.append(heard)
        with os.fdopen(pipe, "rb") as lines, suppress(ValueError):  # it was killed in the middle of a line
            for line in lines:
                report = json.loads(line)
                heard.tally, heard.standing = Tally.load(report["tally"]), Standing(*report["standing"])
                heard.at, heard.patience = time.monotonic(), PATIENCE
        with self._lock:  # what it has done counts in one of the two, at any moment
            self._heard.remove(heard)
            self._ended.add(heard.tally)


def _now(heard: Heard) -> Standing:
    """Say how a process stands, by what was heard of it, and for how long nothing was."""
    silent = time.monotonic() - heard.at
    stopped = _SILENT.format(silent) if silent > heard.patience else heard.standing.stopped
    return heard.standing._replace(idle=heard.standing.idle + silent, stopped=stopped)
