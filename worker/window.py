"""Commands that come again after so long that their endings may be pruned: they are not applied, but kept.

What is delivered twice finds its ending, and is applied once. Endings are pruned after a while (pruner.py):
a command that is older may have ended. A Redis that was restored from an old backup brings such ones back.
The age counts from when it was accepted, due, replayed, or set free by a person, whichever was last, by the
clocks of the servers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import select

from .failure import Cause, Failure
from .types import utcnow

if TYPE_CHECKING:
    from .app import App
    from .delivery import Delivery
    from .received import Received
    from .transport import Transport

_DAY = 86400


def may_be_past(app: App, received: Received) -> bool:
    """Whether a write may be too old, by this machine's clock: it may be wrong by half of the window."""
    if time.time() - _since(received) <= app.options.retention / 2:
        return False
    command = app.registry.get(received.envelope.kind) if received.envelope else None
    return command is None or not command.read_only


async def refusal(transport: Transport, delivery: Delivery, received: Received) -> Failure | None:
    """Say why a write is not begun, if it is too old by the database's clock."""
    since = max(_since(received), await transport.released(delivery.command_id))
    async with transport.app.transaction(read_only=True) as session:
        now = (await session.execute(select(utcnow()))).scalar_one()
    age, kept = now.timestamp() - since, transport.app.options.retention
    if age <= kept:
        return None
    message = (
        f"it came after {age / _DAY:.1f} days, and endings are kept for {kept / _DAY:g} (WORKER_RETENTION): "
        "it may have been applied before; look whether it was, then replay or drop it"
    )
    return Failure(Cause.REFUSED, "too_old", message, "TooOld")


def _since(received: Received) -> float:
    """When a command was accepted, or due if that was later: seconds since 1970, by Redis's clock."""
    accepted: int = received.stamp.get("accepted", round(time.time() * 1000))
    return max(accepted, received.stamp.get("due") or 0) / 1000
