"""A Redis that loses what it knew, of commands of the outbox and of direct sends."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command, Producer, QueueSettings
from producers.outbox import Outbox, send_many
from tests.chaos.app import HANDLERS, Change, Harm
from tests.chaos.faults.fault import Fault
from tests.chaos.field import QUEUE, Field
from worker.app import App
from worker.demo.loopback import HOST
from worker.demo.servers import RedisServer
from worker.replay import drop
from worker.settings import WorkerOptions
from worker.tables import worker_tables
from worker.verify import verify

SHORT_LEASE = {"CHAOS_LEASE": "2"}
_EXEC = b"*1\r\n$4\r\nEXEC\r\n"


async def write(field: Field, commands: Sequence[Command[Any]], *, fails: bool = False) -> list[UUID]:
    """Write commands in a transaction, a hundred at a time; where it `fails`, it is rolled back."""
    outbox, ids = Outbox(queue=QUEUE), []
    for first in range(0, len(commands), 100):
        async with AsyncSession(field.engine) as session:
            sent = await send_many(session, commands[first : first + 100], outbox=outbox)
            if fails:
                await session.rollback()
                continue
            await session.commit()
        field.sent |= {one.command_id: one.command for one in sent}
        ids += [one.command_id for one in sent]
    return ids


async def flushed(field: Field) -> None:
    """Delete everything in Redis, three times; dead commands hold their lanes through it."""
    count = 5
    harmed = [Harm(name=f"h{number}", how="bug") for number in range(count)]
    dead = await write(field, harmed)
    field.crew.start()
    await field.until(count, patience=120)
    behind = [Change(name=f"h{number}", number=-1 - number, change="put") for number in range(count)]
    held = await write(field, behind)
    await write(field, field.changes(5_000, 500))
    redis, keys = field.producer.redis, field.producer.keys
    parked = await redis.zrange(keys.parked, 0, -1)
    for share in (0.2, 0.4, 0.6):
        await field.part(share)
        await redis.flushall()
    after = time.monotonic()
    await field.until(len(field.sent) - count, patience=120)
    took = time.monotonic() - after
    is_late = took > 30 and field.scale >= 1
    field.notes.append(f"{'BAD: ' if is_late else ''}all applied {took:.1f} s after the last")
    as_before = sorted(await redis.zrange(keys.parked, 0, -1)) == sorted(parked)
    moved = await _ended(field, held)
    field.notes.append(
        f"{'BAD: ' if moved or not as_before else ''}{len(parked)} dead hold their lanes as before"
    )
    await _drop(field, dead)


async def _ended(field: Field, ids: Sequence[UUID]) -> int:
    table = worker_tables(None).processed_commands
    async with field.engine.connect() as connection:
        found = select(func.count()).where(table.c.command_id.in_(ids))
        return int((await connection.execute(found)).scalar_one())


async def _drop(field: Field, ids: Sequence[UUID]) -> None:
    async with _app(field) as app:
        for command_id in ids:
            await drop(app, field.producer.redis, command_id)


@asynccontextmanager
async def _app(field: Field) -> AsyncIterator[App]:
    url = field.engine.url.render_as_string(hide_password=False)
    app = App(HANDLERS, settings=WorkerOptions(database_url=url), queue=field.producer.settings)
    yield app
    await app.close()


async def cut_back(field: Field) -> None:
    """Kill Redis, cut the end of its file off, and start it, twenty times."""
    await write(field, field.changes(5_000, 500))
    await field.begin()
    async for _ in field.often(20):
        await _cut(field)
    await field.part(1, patience=120)


async def cut_back_fsync(field: Field) -> None:
    """The same under direct sends that wait for the disk: cut off is what came after they were confirmed."""
    await field.begin()
    settings = field.producer.settings.model_copy(update={"durability": "fsync"})
    async with Producer(settings=settings) as producer:
        async for portion in _portions(field):
            receipts = await producer.send_many(portion)
            field.sent |= {receipt.command_id: receipt.command for receipt in receipts}  # type: ignore[misc]
            confirmed = _file_of(field).stat().st_size
            await asyncio.sleep(field.chance.uniform(0, 0.3))  # workers claim, settle and answer
            await _cut(field, keep=confirmed)
    await field.part(1, patience=120)


async def cut_back_memory(field: Field) -> None:
    """The same under direct sends that wait for nothing: what is lost is what the ledger says is lost."""
    await field.begin()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        async with Producer(settings=field.producer.settings, ledger=ledger) as producer:
            async for portion in _portions(field):
                for command in portion:  # one by one: what is sent together is lost together
                    receipt = await producer.send(command)
                    field.sent[receipt.command_id] = receipt.command  # type: ignore[assignment]
                await _cut(field, most=50_000)
        found = await field.look()
        while found.waiting:
            await asyncio.sleep(0.5)
            found = await field.look()
        named: list[UUID] = []
        async with _app(field) as app:
            await verify(app, field.producer.redis, [ledger], named.append)
    is_well = sorted(named) == sorted(found.lost)
    field.notes.append(f"{'' if is_well else 'BAD: '}{len(named)} lost, and named by `verify`")
    for command_id in found.lost:
        del field.sent[command_id]


async def _portions(field: Field) -> AsyncIterator[Sequence[Command[Any]]]:
    """Give twenty parts of the commands, each when a part of the ones before has ended."""
    times, changes = field.count(20), field.changes(5_000, 500)
    size = len(changes) // times
    for number in range(times):
        yield changes[number * size : (number + 1) * size]
        await field.until(round(len(field.sent) * 0.5), patience=5)


async def _cut(field: Field, *, keep: int = 0, most: int = 500_000) -> None:
    """Kill Redis; cut off some of what it wrote last; start it.

    The cut is between transactions. Within one, Redis leaves its beginning in the file, and what is written
    later is taken for the rest of it at the next start but one: half a script would be carried out.
    """
    await asyncio.to_thread(field.redis.kill)
    file = _file_of(field)
    written = file.read_bytes()
    cut = written.rfind(_EXEC, keep, len(written) - field.chance.randrange(1, most))
    os.truncate(file, keep if cut < 0 else cut + len(_EXEC))
    await asyncio.to_thread(field.redis.start)


def _file_of(field: Field) -> Path:
    [file] = (field.redis.folder / "appendonlydir").glob("*.incr.aof")
    return file


async def failed_over(field: Field) -> None:
    """A replica that lags takes the place of a Redis that is killed."""
    with RedisServer(appendonly=True) as replica:
        follower = Redis.from_url(replica.url)
        await follower.execute_command("REPLICAOF", HOST, field.redis.port)
        await write(field, field.changes(5_000, 500))
        await field.begin()
        await field.part(0.3)
        await follower.execute_command("REPLICAOF", "NO", "ONE")  # from now on it hears of nothing
        await field.part(0.6)
        await asyncio.to_thread(field.redis.kill)
        field.before_redis.lead_to(replica.port)
        async with Producer(settings=QueueSettings(redis_url=replica.url, name=QUEUE)) as producer:
            field.producer = producer
            await field.part(1, patience=120)
            field.found = await field.look()
            await field.crew.end()
        await follower.aclose()


async def relays_killed(field: Field) -> None:
    """Four relays at once, killed between publishing and noting it, a hundred times."""
    times, changes = field.count(100), field.changes(5_000, 500)
    field.crew.start(*[{**SHORT_LEASE, "CHAOS_RELAY": "0.5"}] * 4)
    for number in range(times):
        await write(field, changes[number * 50 : (number + 1) * 50])
        give_up = time.monotonic() + 10
        while field.crew.unasked <= number and time.monotonic() < give_up:  # noqa: ASYNC110  # processes
            await asyncio.sleep(0.05)
    await field.part(1, patience=240)
    killed = field.crew.unasked
    field.notes.append(f"{'BAD: ' if killed < times * 0.9 else ''}{killed} killed")


async def rolled_back(field: Field) -> None:
    """A thousand transactions that end in nothing, among a thousand that do not."""
    field.crew.start()
    for number in range(field.count(1_000)):
        name = f"a{number % 50}"
        await write(field, [Change(name=name, number=number, change="put", by=1)])
        await write(field, [Change(name=name, number=-1 - number, change="put", by=2)], fails=True)
    await field.part(1)
    table = worker_tables(None).processed_commands
    async with field.engine.connect() as connection:
        ended = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    extra = ended - len(field.sent)
    field.notes.append(f"{'BAD: ' if extra else ''}{extra} sent that were rolled back")


FAULTS = [
    Fault(
        flushed,
        "everything in Redis deleted, three times; by the outbox",
        5_000,
        ends=("applied", "rejected", "dropped"),
    ),
    Fault(cut_back, "Redis killed, and the end of its file cut off, 20 times; by the outbox", 5_000),
    Fault(cut_back_fsync, 'the same, sent directly, `durability="fsync"`: what was confirmed is kept', 5_000),
    Fault(cut_back_memory, "the same, sent directly, with a ledger", 5_000, quick=0.05),
    Fault(failed_over, "Redis killed, and a replica that lags in its place; by the outbox", 5_000),
    Fault(
        relays_killed,
        "relays killed between publishing and noting it, 100 times; four at once",
        5_000,
        options={"again": True},
        quick=0.03,
    ),
    Fault(rolled_back, "1,000 senders roll back, among 1,000 that do not; by the outbox", 1_000, patience=60),
]
