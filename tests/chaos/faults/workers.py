"""Faults of workers: killed, stopped, stuck, replaced."""

import asyncio
import os
import signal

from tests.chaos.app import Block, Stall
from tests.chaos.crew import GRACE
from tests.chaos.faults.fault import Fault
from tests.chaos.field import Field

SHORT_LEASE = {"CHAOS_LEASE": "1.5"}


async def kills(field: Field) -> None:
    await field.send(field.changes(10_000, 500))
    field.crew.start()
    async for _ in field.often(100):
        await field.crew.kill(field.chance)
    await field.part(1, patience=120)
    await field.again()


async def stops(field: Field) -> None:
    """Stop one past its lease and let it go on, over and over; then those that stop before their ending."""
    await field.send(field.changes(2_000, 100))
    field.crew.start(*[SHORT_LEASE] * 4)
    for _ in range(field.count(20)):
        process = field.crew.processes[await field.crew.settled(field.chance)]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2.5)
        process.send_signal(signal.SIGCONT)
    first = len(field.sent)
    count = field.count(20)
    for number in range(first, first + count):
        then = field.chance.choice(["rejected", "dead"])
        await field.send([Stall(name=f"s{number}", number=number, then=then)])  # type: ignore[arg-type]
        stopped = await field.trace.blpop(["chaos:stalled"], timeout=30)  # type: ignore[misc]
        if stopped is None:
            field.notes.append("BAD: a run that was to be stopped did not begin")
            return
        await field.until(await field.ended() + 1, patience=30)
        os.kill(int(stopped[1]), signal.SIGCONT)
        await asyncio.sleep(0.2)
    field.notes.append(f"{count} stopped before their ending")


async def stuck(field: Field) -> None:
    """The event loop of a worker stands still, longer than its leases are renewed."""
    seconds = 60.0 if field.scale >= 1 else 5.0
    await field.send([Block(name=f"b{number}", number=number, seconds=seconds) for number in range(50)])
    shortened = {} if field.scale >= 1 else {**SHORT_LEASE, "CHAOS_PATIENCE": "1"}
    field.crew.start({**shortened, "WORKER_CONCURRENCY": "50", "WORKER_JOB_TIMEOUT": "120"}, shortened)


async def deploys(field: Field) -> None:
    """Replace one after the other; the old ones know an older version of the payload only."""
    old = {"CHAOS_OLD": "1", "WORKER_MAX_ATTEMPTS": "1"}
    new = {"WORKER_MAX_ATTEMPTS": "1"}
    await field.send(field.changes(10_000, 500))
    field.crew.start(old, *[new] * 3)
    async for number in field.often(50, patience=60):
        await field.crew.deploy(number % 4, old if number % 7 == 0 else new)
    for place in range(4):
        await field.crew.deploy(place, new)
    codes, slowest = field.crew.codes, field.crew.slowest
    well = set(codes) == {0} and slowest <= GRACE
    told = f"{len(codes)} exits with {sorted(set(codes))}, the slowest after {slowest:.1f} s"
    field.notes.append(told if well else f"BAD: {told}")


FAULTS = [
    Fault(kills, "SIGKILL of a random worker of 4, 100 times", 10_000, quick=0.05),
    Fault(
        stops,
        "SIGSTOP past the lease, then SIGCONT; also before the ending, while the second run fails",
        2_000,
        ends=("applied", "rejected", "dead"),
    ),
    Fault(stuck, "event loop blocked for 60 s", 50, options={"workers": 2}),
    Fault(
        deploys, "SIGTERM rolling deploy, 50 times; an old worker meets a newer payload", 10_000, quick=0.04
    ),
]
