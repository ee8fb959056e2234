"""A limit to guessing: who fails to sign in a few times has to wait."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

FAILURES, WINDOW = 5, 60.0
"""So many failures within so many seconds."""
_ADDRESSES = 10_000


class Throttle:
    """Counts failed sign-ins by address, of so many addresses as fit; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may now."""
        recent = self._recent(address)
        return recent[0] + WINDOW - self._clock() if len(recent) >= FAILURES else 0.0

    def failed(self, address: str) -> None:
        """Count one more failure."""
        self._failed[address] = [*self._recent(address), self._clock()]
        self._failed.move_to_end(address)
        while len(self._failed) > _ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        self._failed.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - WINDOW
        return [at for at in self._failed.get(address, ()) if at > since][-FAILURES:]
