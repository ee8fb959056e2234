"""Faults of networks: workers cut off from Redis, from PostgreSQL."""

import asyncio

from tests.chaos.faults.fault import Fault
from tests.chaos.field import Field


async def cut_off(field: Field) -> None:
    """Cut off, or met with silence, for one second to a minute, fifty times; each time they are on again."""
    longest = 60 if field.scale >= 1 else 5
    field.crew.start()
    await asyncio.sleep(4)  # one that cannot reach its servers at its start ends, and says why
    await field.send(field.changes(5_000, 500))
    slowest = 0.0
    async for _ in field.often(50):
        proxy = field.chance.choice([field.before_redis, field.before_postgres])
        silent = field.chance.random() < 0.5
        if silent:
            proxy.blackhole()
        else:
            proxy.refuse()
            proxy.cut()
        await asyncio.sleep(min(longest, field.chance.uniform(1, 60)))
        proxy.accept()
        proxy.resume()
        before = len(field.notes)
        await field.on_again(10 if silent else 5)
        for note in field.notes[before:]:
            slowest = max(slowest, float(note.split()[-2]))
        field.notes[before:] = [note for note in field.notes[before:] if note.startswith("BAD")]
    field.notes.append(f"{field.count(50)} times, on again after at most {slowest:.1f} s")


FAULTS = [
    Fault(cut_off, "workers cut off from Redis, from PostgreSQL, 1-60 s, 50 times", 5_000, quick=0.06),
]
