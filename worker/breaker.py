"""The breaker of a worker process: while the database is away it takes no commands, and asks now and then.

closed      all slots take commands
open        none does: a command met a database that is away, and a connection of its own confirmed it
half-open   the database answers again: one command is let through, and after it all
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from . import retry
from .delivery import Later
from .failure import Cause
from .logs import log

_BETWEEN = 1.3
"""Seconds between an answer and the next question: with jitter, at most two."""


class State(StrEnum):
    """What commands meet."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Learns from what comes of commands whether to take more of them.

    `is_away` asks the database; `allow` is told how many more commands may be taken: 0, 1, or None for all.
    """

    def __init__(self, is_away: Callable[[], Awaitable[bool]], allow: Callable[[int | None], None]) -> None:
        self.state = State.CLOSED
        self._is_away, self._allow = is_away, allow
        self._asking: asyncio.Task[None] | None = None

    def learn(self, outcome: object) -> None:
        """Learn from what came of a command."""
        later = outcome if isinstance(outcome, Later) else None
        cause = later.failure.cause if later is not None and later.failure is not None else None
        if later is not None and later.away:
            self._open()
        elif self.state is State.HALF_OPEN and cause is not Cause.UNKNOWN:
            self._turn(State.CLOSED)
            self._allow(None)

    async def close(self) -> None:
        """Ask no more, and let all through again."""
        while self._asking is not None and not self._asking.done():
            self._asking.cancel()  # more than once: on Python 3.11 a driver can lose a cancellation
            await asyncio.wait({self._asking}, timeout=1)
        if self.state is not State.CLOSED:
            self._turn(State.CLOSED)
            self._allow(None)

    def _open(self) -> None:
        if self.state is State.OPEN:
            return
        self._turn(State.OPEN)
        self._allow(0)
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        away = True
        while away:
            await asyncio.sleep(retry.jittered(_BETWEEN))
            try:
                away = await self._is_away()
            except Exception as error:  # noqa: BLE001  # it is asked again
                log.error("breaker.question_failed", error=type(error).__name__)
        self._turn(State.HALF_OPEN)
        self._allow(1)

    def _turn(self, state: State) -> None:
        self.state = state
        tell = log.warning if state is State.OPEN else log.info
        tell("breaker." + state.value.replace("-", "_"))
