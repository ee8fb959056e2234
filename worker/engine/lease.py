"""The thread that renews the leases of running jobs, also while the event loop is busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from .job import logger

if TYPE_CHECKING:
    import redis

    from .broker import Broker
    from .job import Claim


class Keeper(Thread):
    """Renews the leases of what is held every `every` s, unless the event loop stands still for `patience` s.

    A process that is stuck must let go of its jobs. `lost` is called, from this thread, with each claim that
    is lost: Redis says so, or could not be told in time.
    """

    def __init__(
        self, broker: Broker, lost: Callable[[Claim], None], *, every: float = 3.0, patience: float = 30.0
    ) -> None:
        super().__init__(name="arq-engine-leases", daemon=True)
        self._broker, self._lost, self._every, self._patience = broker, lost, every, patience
        self._held: dict[str, Claim] = {}
        self._over, self._turned = Event(), time.monotonic()

    def turned(self) -> None:
        """Say that the event loop turns."""
        self._turned = time.monotonic()

    def hold(self, claim: Claim) -> None:
        """Renew this one from now on."""
        self._held[claim.job_id] = claim

    def let_go(self, claim: Claim) -> None:
        """Renew this one no more."""
        if self._held.get(claim.job_id) is claim:
            del self._held[claim.job_id]

    def end(self) -> None:
        """Stop renewing, and wait for the thread to end."""
        self._over.set()
        if self.is_alive():
            self.join(timeout=0.5)

    def run(self) -> None:
        """Renew until told to end."""
        patience = self._every / 2
        client, pause = self._broker.keeper(patience), self._every
        while not self._over.wait(pause):
            try:
                late = time.monotonic() - (self._broker.lease - patience)  # given up before it has run out
                self._give_up([claim for claim in [*self._held.values()] if claim.renewed < late])
                pause = self._every if self._renew(client, patience) else patience / 2
            except Exception:  # noqa: BLE001  # whatever it is, it must not end the renewing of all
                logger.exception("leases could not be renewed")
        if client is not None:
            client.close()

    def _renew(self, client: redis.Redis | None, patience: float) -> bool:
        claims = [*self._held.values()]
        if not claims or time.monotonic() - self._turned > self._patience:
            return True
        try:
            self._give_up(self._broker.renew(client, claims, patience))
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("leases could not be renewed: %s", type(error).__name__)
            return False
        return True

    def _give_up(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            if self._held.get(claim.job_id) is claim and not claim.lost:
                claim.lost = True
                self.let_go(claim)
                self._lost(claim)
