"""From a job to the executor and back, whatever carries it: the engine, or a plain arq worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producers.wire import Ending

from . import executor, suspects
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


async def carry_out(ctx: dict[str, Any], received: Received) -> tuple[Delivery, Answer | Later]:
    """Carry a job out whose turn it is: return how its command ended, or when it is to be tried again."""
    transport: Transport = ctx["transport"]
    job_id: str = ctx["job_id"]
    first = ctx["job_try"] == 1
    delivery = await transport.delivery(job_id, received, first=first)
    if delivery.lanes and ctx["score"] <= _ABORTED and await transport.waits(delivery.command_id):
        delivery.unbegun = Ending.CANCELLED
    elif not await transport.may_run(job_id, received):
        return delivery, Later(UNTIL_FREE)
    silent = ctx.get("silent", 0)  # a plain arq worker does not know
    suspected = not first and "suspects" in ctx and await transport.is_suspected(job_id)
    if silent or suspected:
        outcome = await _carry_out_alone(ctx, delivery, again=suspected or silent > 1)
    else:
        outcome = await executor.execute(transport.app, delivery)
    if isinstance(outcome, Later) and (crashed := suspects.has_crashed(outcome)) != suspected:
        await transport.suspect(job_id, suspected=crashed)
    return delivery, outcome


async def _carry_out_alone(ctx: dict[str, Any], delivery: Delivery, *, again: bool) -> Answer | Later:
    transport: Transport = ctx["transport"]
    async with ctx["suspects"].alone():
        if not again:
            await transport.suspect(ctx["job_id"], suspected=False)
        delivery.conviction = await suspects.convicted(delivery)
        return await executor.execute(transport.app, delivery)
