"""Commands that come again after so long that their endings may be pruned: they are not applied, but kept.

What is delivered twice finds its ending, and is applied once. Old endings are pruned (pruner.py): a command
of that time may have had one. A Redis that was restored from an old backup brings such commands back. Their
time is when they were accepted, due, replayed, or set free by a person, whichever was last, by the clocks of
the servers.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from .failure import Cause, Failure

if TYPE_CHECKING:
    from .app import App
    from .delivery import Delivery
    from .received import Received
    from .transport import Transport

APART = timedelta(minutes=5)
"""So far the clocks of Redis and of the database may be apart."""
_YOUNG = 1800.0
"""Seconds after which a command is looked at, by this machine's clock: nothing is pruned before an hour."""


def may_be_past(app: App, received: Received) -> bool:
    """Whether a write is so old that its ending might be pruned: to be found out by `refusal`."""
    if time.time() - _since(received) <= _YOUNG:
        return False
    command = app.registry.get(received.envelope.kind) if received.envelope else None
    return command is None or not command.read_only


async def refusal(transport: Transport, delivery: Delivery, received: Received) -> Failure | None:
    """Say why a write is not begun, if endings of its time are pruned, or are about to be."""
    relays = transport.app.tables.relays
    async with transport.app.transaction(read_only=True) as session:
        pruned = (await session.execute(select(func.max(relays.c.pruned_until)))).scalar_one()
    if pruned is None:
        return None
    since = max(_since(received), await transport.released(delivery.command_id))
    then = datetime.fromtimestamp(since, UTC)
    if then > pruned + APART:
        return None
    message = (
        f"it is of {then:%Y-%m-%d %H:%M} UTC, and endings of that time are pruned (WORKER_RETENTION): "
        "it may have been applied before; look whether it was, then replay or drop it"
    )
    return Failure(Cause.REFUSED, "too_old", message, "TooOld")


def _since(received: Received) -> float:
    """When a command was accepted, or due if that was later: seconds since 1970, by Redis's clock.

    Of one that is signed it is no later than its sender's clock allows, whatever stands beside its signature.
    """
    accepted: int = received.stamp.get("accepted", round(time.time() * 1000))
    since = max(accepted, received.stamp.get("due") or 0)
    return (since if received.since is None else received.since) / 1000
