"""Has the engine claim only from a Redis that knows what it was told: another one is restored first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from .engine import CLAIM, Broker, Look, Saying, Script
from .epochs import only_there

if TYPE_CHECKING:
    import redis

    from producers.sentinel import Sentinels

    from .clock import Clock
    from .epochs import Epochs

_CLAIM_THERE = Script(only_there(CLAIM.text))


class Gate(Broker):
    """The engine's side of the queue, which is shut while the epoch is not the one that is written down."""

    def __init__(self, *about: Any, epochs: Epochs, clock: Clock, **more: Any) -> None:
        super().__init__(*about, **more)
        self._epochs, self._clock = epochs, clock
        self._sure: object = None

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
            [*keys, self._epochs.key],
            [*words, *self._epochs.words(ask=not is_sure)],
        )

    def look(self, reply: Any, token: str, before: float) -> Look:
        """Read what was found: nothing, but not for ever, while the gate is shut."""
        if isinstance(reply, list):
            self._sure = self._connection
            self._clock.told(reply[0])
            return super().look(reply, token, before)
        self._epochs.forget()
        self._sure = None
        self._claimed, self._in_doubt = self._claimed - 1, True  # the claim is still to be made
        return Look([], None, 1)
