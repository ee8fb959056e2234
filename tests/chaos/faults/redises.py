"""Faults of Redis: restarted, full."""

import asyncio

from producers import QueueFull
from tests.chaos.faults.fault import Fault
from tests.chaos.field import Field


async def redis_restarts(field: Field) -> None:
    await field.send(field.changes(10_000, 500))
    await field.begin()
    async for _ in field.often(20):
        await asyncio.to_thread(field.redis.kill)
        await asyncio.sleep(field.chance.uniform(0.1, 1))
        await asyncio.to_thread(field.redis.start)


async def redis_full(field: Field) -> None:
    """Filled to the brim, twice: by our own sends, and by somebody else behind our back."""
    redis = field.producer.redis
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", used + 8_000_000)
    refused = await _send_until_refused(field)
    await redis.config_set("maxmemory", 0)
    await redis.set("somebody", "x" * 16_000_000)
    await redis.config_set("maxmemory", used + 8_000_000)  # there is more in it than it may hold
    others = [await _send_until_refused(field), await _send_until_refused(field)]
    await field.begin()
    await field.part(0.5)
    await redis.delete("somebody")
    await field.part(1, patience=60)
    await redis.config_set("maxmemory", 0)
    await field.send(field.changes(1_000, 100))
    told = {refused, *others}
    field.notes.append(f"{'' if told == {'redis_full'} else 'BAD: '}refused with {sorted(map(str, told))}")


async def _send_until_refused(field: Field) -> str | None:
    """Send until Redis has no room; what was accepted before is remembered. Returns the error's code."""
    for _ in range(200):
        try:
            await field.send(field.changes(500, 100))
        except QueueFull as error:
            field.sent |= {receipt.command_id: receipt.command for receipt in error.accepted}
            return error.code
        field.producer._enqueue.headroom.checked = -1.0
    return None


FAULTS = [
    Fault(redis_restarts, "Redis killed and restarted 20 times (AOF always)", 10_000, quick=0.05),
    Fault(redis_full, "Redis full (`noeviction`)", 10_000, quick=0.2),
]
