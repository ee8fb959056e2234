"""Has the engine claim only from a Redis that knows what it was told, and from no queue that is paused.

Another Redis than the one that was written down is restored first (epochs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from producers.wire import Keys

from .engine import CLAIM, Broker, Look, Saying, Script
from .epochs import only_there
from .halt import unless_paused
from .logs import log

if TYPE_CHECKING:
    import redis

    from producers.sentinel import Sentinels

    from .clock import Clock
    from .epochs import Epochs

_CLAIM_THERE = Script(unless_paused(only_there(CLAIM.text)))


class Gate(Broker):
    """The engine's side of the queue; shut while it is paused, or the epoch is not the one written down."""

    def __init__(self, *about: Any, epochs: Epochs, clock: Clock, **more: Any) -> None:
        super().__init__(*about, **more)
        self._epochs, self._clock = epochs, clock
        self._halt = Keys(self.queue).halt
        self._sure: object = None
        self._is_paused = False

    def keeper(self, patience: float) -> redis.Redis | None:
        """Make a client for the thread that renews; where Sentinel says who is the master, by it."""
        given = self._given.connection_pool.connection_kwargs
        led: Sentinels | None = given.get("sentinels")
        if led is None:
            return super().keeper(patience)
        limits = {"socket_timeout": patience, "socket_connect_timeout": patience}
        return led.blocking({**given, **limits, "retry": Retry(NoBackoff(), 0), "retry_on_error": []})

    def claiming(self, keys: Sequence[str], most: int, token: str) -> Saying:
        """Say how to claim; a connection is to one process of Redis, and asks it once who it is."""
        _, keys, words = super().claiming(keys, most, token)
        is_sure = self._connection is not None and self._connection is self._sure
        return (
            _CLAIM_THERE,
            [*keys, self._epochs.key, self._halt],
            [*words, *self._epochs.words(ask=not is_sure)],
        )

    def look(self, reply: Any, token: str, before: float) -> Look:
        """Read what was found: nothing, but not for ever, while the gate is shut."""
        self._pause(reply == b"paused")
        if isinstance(reply, list):
            self._sure = self._connection
            self._clock.told(reply[0])
            return super().look(reply, token, before)
        if not self._is_paused:
            self._epochs.forget()
            self._sure = None
        self._claimed, self._in_doubt = self._claimed - 1, True  # the claim is still to be made
        return Look([], None, 0 if self._is_paused else 1)  # a burst ends where nobody may claim

    def _pause(self, is_paused: bool) -> None:  # noqa: FBT001
        """Say once in the log that the queue is paused, and that it is so no more."""
        if is_paused and not self._is_paused:
            log.warning("queue.paused", queue=self.queue, mend="python -m worker queue resume")
        elif self._is_paused and not is_paused:
            log.info("queue.resumed", queue=self.queue)
        self._is_paused = is_paused
