"""Looks at Redis and the database from a thread of its own, whatever becomes of the work beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from threading import Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar

from redis.asyncio import Redis

from producers.connection import connect
from producers.wire import Keys

from ..health import Check, checks
from .state import queue, records

if TYPE_CHECKING:
    from ..app import App

T = TypeVar("T")
_FRESH, _PATIENCE = 3.0, 4.0
"""Seconds that what was found is told again, and that one look may take."""
_CHECKED = ("redis", "database", "migrations")
_MEND = "look at that server; `python -m worker check` waits longer"


class Inspector:
    """Looks on connections of its own, one of each kind; what it found is told for a few seconds."""

    def __init__(self, app: App) -> None:
        self._app, self._keys = app.apart(), Keys(app.queue.name)
        self._redis = connect(self._app.queue, Redis)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="inspector", daemon=True)
        self._found: dict[str, tuple[float, Any]] = {}
        self._turn = asyncio.Lock()

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections and end the thread."""
        self._ask(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def queue(self) -> dict[str, Any] | None:
        """Tell what Redis knows of the queue; None where it does not answer."""
        found: dict[str, Any] | None = self._ask(self._fresh("queue", lambda: queue(self._redis, self._keys)))
        return found

    def records(self) -> dict[str, Any] | None:
        """Tell what the database knows of it; None where it does not answer."""
        found: dict[str, Any] | None = self._ask(self._fresh("records", lambda: records(self._app)))
        return found

    def checks(self) -> list[Check]:
        """Look at what a worker needs."""
        return self._ask(self._fresh("checks", self._check)) or []

    async def _check(self) -> list[Check]:
        found: list[Check] = []
        try:
            async with asyncio.timeout(_PATIENCE * 0.9):
                async for check in checks(self._app, self._redis):
                    found.append(check)  # noqa: PERF401  # those before the one that fails are kept
        except Exception as error:  # noqa: BLE001  # as below
            names = [check.name.partition(" ")[0] for check in found]
            next_one = next(name for name in (*_CHECKED, "") if name not in names)
            found.append(Check(next_one, f"does not answer ({type(error).__name__})", _MEND))
        return found

    async def _fresh(self, name: str, look: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turn:
            at, found = self._found.get(name, (0.0, None))
            if time.monotonic() - at < _FRESH and name in self._found:
                return found
            try:
                async with asyncio.timeout(_PATIENCE):
                    found = await look()
            except Exception:  # noqa: BLE001  # Redis and the database may be away in many ways
                found = None
            self._found[name] = time.monotonic(), found
            return found

    async def _close(self) -> None:
        await self._redis.aclose()
        await self._app.close()

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
