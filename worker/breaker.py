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
"""Seconds between two questions: with jitter, at most two."""


class State(StrEnum):
    """What commands meet."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Learns from what comes of commands whether to take more of them.

    `is_away` asks the database; `allow` is told how many commands may run from now on, None for all.
    """

    def __init__(self, is_away: Callable[[], Awaitable[bool]], allow: Callable[[int | None], None]) -> None:
        self.state = State.CLOSED
        self._is_away, self._allow = is_away, allow
        self._asking: asyncio.Task[None] | None = None

    def learn(self, outcome: object) -> None:
        """Learn from what came of a command."""
        cause = outcome.failure.cause if isinstance(outcome, Later) and outcome.failure is not None else None
        if cause is Cause.AWAY:
            self._open()
        elif self.state is State.HALF_OPEN and cause is not Cause.UNKNOWN:
            self._turn(State.CLOSED)
            self._allow(None)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

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
            away = await self._is_away()
        self._turn(State.HALF_OPEN)
        self._allow(1)

    def _turn(self, state: State) -> None:
        self.state = state
        tell = log.warning if state is State.OPEN else log.info
        tell("breaker." + state.value.replace("-", "_"))
