"""From a job to the executor and back, whatever carries it: the engine, or a plain arq worker."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from producers.wire import Ending

from . import doubt, executor, history, retry, suspects, tracing, window
from .delivery import Later
from .refused import WITHOUT_KEY
from .service import longest

if TYPE_CHECKING:
    from producers.wire import Answer

    from .delivery import Delivery
    from .received import Received
    from .transport import Transport

UNTIL_FREE = 250_000_000_000.0
"""Seconds until a job is tried again that has to wait in its lanes: who is before it makes it due."""
ABORTED = 1
"""The score that arq's `abort` gives to a job which is not due yet."""


async def refusal(ctx: dict[str, Any], received: Received) -> float | None:
    """Say what becomes of a job that is none of ours, or not the one that its name says; None of any other.

    Seconds until it is looked at again, by a worker that may have the key; or 0 where it has left the queue.
    """
    transport: Transport = ctx["transport"]
    job_id: str = ctx["job_id"]
    if not (reason := transport.refused.reason(job_id, received)):
        return None
    if reason in WITHOUT_KEY:
        tries = await transport.count(job_id, reason)
        if tries.age < transport.app.options.unreadable_timeout:
            return retry.backoff(tries.count, first=1, cap=30) + 0.1
    await transport.refused.refuse(job_id, received.body, reason)
    return 0.0


async def carry_out(ctx: dict[str, Any], received: Received) -> tuple[Delivery, Answer | Later]:
    """Carry a job out, if it is its turn: return how its command ended, or when it is to be tried again."""
    with ctx["suspects"].nothing_claimed() if ctx.get("silent") else nullcontext():
        return await _in_turn(ctx, received)


async def _in_turn(ctx: dict[str, Any], received: Received) -> tuple[Delivery, Answer | Later]:
    transport: Transport = ctx["transport"]
    delivery = await transport.delivery(ctx["job_id"], received, first=ctx["job_try"] == 1)
    if await _is_aborted(ctx, received, delivery):
        delivery.unbegun = Ending.CANCELLED
    elif not await transport.lanes.may_run(delivery.command_id, ctx["job_id"], received.stamp):
        return delivery, Later(UNTIL_FREE)
    run = _carry_out(ctx, delivery, received)
    return delivery, await tracing.processing(delivery, received.stamp, run)


async def _is_aborted(ctx: dict[str, Any], received: Received, delivery: Delivery) -> bool:
    """Whether somebody has made it due that was not: before its time, or before its turn in its lanes."""
    transport: Transport = ctx["transport"]
    if ctx["score"] <= ABORTED and await transport.early(received):
        return True
    if delivery.first and ctx["score"] > ABORTED:
        return False
    return await transport.lanes.waits(delivery.command_id, ctx["job_id"])


async def _carry_out(ctx: dict[str, Any], delivery: Delivery, received: Received) -> Answer | Later:
    """Run it, beside others or, where it is a suspect, alone."""
    transport: Transport = ctx["transport"]
    suspicions, job_id = transport.suspicions, ctx["job_id"]
    silent = ctx.get("silent", 0)  # a plain arq worker does not know, and runs nothing alone
    suspected = not delivery.first and "suspects" in ctx and await suspicions.has(job_id)
    if silent and not suspected:
        await suspicions.suspect(job_id)  # whatever happens to it while it waits for its turn
    if silent or suspected:
        # A session that crashes cuts off those of all workers: of such suspects one runs at a time, anywhere.
        in_turn = nullcontext() if silent else suspicions.one_at_a_time(longest(transport.app))
        async with ctx["suspects"].alone(in_turn):
            outcome = await _execute_suspect(transport, delivery, received)
    else:
        outcome = await _execute(transport, delivery, received)
    if isinstance(outcome, Later) and outcome.crashed:
        await suspicions.note_crash(job_id)
    elif isinstance(outcome, Later) and (silent or suspected):
        await suspicions.clear(job_id)
    if "breaker" in ctx:
        ctx["breaker"].learn(outcome)
    if (attempt := history.failed(outcome)) is not None:
        await history.note(transport, delivery.command_id, attempt)
    return outcome


async def _execute_suspect(transport: Transport, delivery: Delivery, received: Received) -> Answer | Later:
    """Have a suspect executed; where PostgreSQL did not crash, the end of its session is not its fault."""
    delivery.conviction = await suspects.convicted(delivery)
    before = await doubt.last_crash(transport.app)
    outcome = await _execute(transport, delivery, received)
    if isinstance(outcome, Later) and outcome.crashed and before is not None:
        return replace(outcome, crashed=before != await doubt.last_crash(transport.app))
    return outcome


async def _execute(transport: Transport, delivery: Delivery, received: Received) -> Answer | Later:
    """Have it executed; whether it is too old is asked last, right before its ending is looked for."""
    if window.may_be_past(transport.app, received):
        delivery.first = False  # it may have ended long ago
        delivery.conviction = await window.refusal(transport, delivery, received) or delivery.conviction
    return await executor.execute(transport.app, delivery)
