"""From a job to the executor and back, whatever carries it: the engine, or a plain arq worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.wire import Ending

from . import executor
from .delivery import Later

if TYPE_CHECKING:
    from producers.wire import Answer

    from .delivery import Delivery
    from .received import Received
    from .transport import Transport

UNTIL_FREE = 250_000_000_000.0
"""Seconds until a job is tried again that has to wait in its lanes: who is before it makes it due."""
_ABORTED = 1
"""The score that arq's `abort` gives to a job which is not due yet."""


async def carry_out(
    transport: Transport, job_id: str, received: Received, *, first: bool, score: float
) -> tuple[Delivery, Answer | Later]:
    """Carry a job out whose turn it is: return how its command ended, or when it is to be tried again."""
    delivery = await transport.delivery(job_id, received, first=first)
    if delivery.lanes and score <= _ABORTED and await transport.waits(delivery.command_id):
        delivery.unbegun = Ending.CANCELLED
    elif not await transport.may_run(job_id, received):
        return delivery, Later(UNTIL_FREE)
    return delivery, await executor.execute(transport.app, delivery)
