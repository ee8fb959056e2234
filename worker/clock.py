"""Redis's clock, as this process knows it: commands are accepted, due and begun by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Follows the clock of a Redis; until it is told the time there, it is this machine's own."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def told(self, ms: float) -> None:
        """Hear what time it is there, in milliseconds since 1970."""
        self._ahead = ms / 1000 - time.time()

    def now(self) -> datetime:
        """Say what time it is there, to within a round trip."""
        return datetime.fromtimestamp(time.time() + self._ahead, UTC)
