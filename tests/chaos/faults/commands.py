"""Faults of commands: delivered again and again, in each other's way, harmful, delayed, old."""

import asyncio
import json
import random
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from tests.chaos import app as chaos
from tests.chaos.app import ACCOUNTS, JOURNAL, Change, Harm, Peek, Transfer
from tests.chaos.faults.fault import Fault
from tests.chaos.field import Field
from worker.app import App
from worker.process import Process
from worker.settings import WorkerOptions

DAY_AND_A_HALF = 36 * 3600 * 1000


async def delivered_ten_times(field: Field) -> None:
    """Each job is there again nine times, shuffled: first while it runs, then when it has ended."""
    count = field.count(1_000)
    commands = [Change(name=f"a{number}", number=number, change="put", by=number) for number in range(count)]
    ids, keys, redis = await field.send(commands), field.producer.keys, field.producer.redis
    names = [keys.job_id(command_id) for command_id in ids]
    bodies = dict(zip(names, await redis.mget([f"arq:job:{name}" for name in names]), strict=True))
    field.crew.start()
    await field.part(0.1)
    for _ in range(9):
        field.chance.shuffle(names)
        for name in names:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.set(f"arq:job:{name}", bodies[name])
                pipe.delete(f"arq:in-progress:{name}")
                pipe.zadd(keys.queue, {name: 2})
                await pipe.execute()
        give_up = time.monotonic() + 120
        while await redis.zcard(keys.queue) and time.monotonic() < give_up:  # noqa: ASYNC110  # elsewhere
            await asyncio.sleep(0.05)


async def in_the_way(field: Field) -> None:
    """Fifty write one row at once; beside them two lock two rows, each in its own order."""
    async with field.engine.begin() as connection:
        await connection.execute(insert(ACCOUNTS), [{"name": name, "value": 0} for name in ("x", "y", "z")])
    for number in range(field.count(1_000)):
        first, second = field.chance.choice([("x", "x"), ("y", "z"), ("z", "y")])
        ordering_key = None if first == second else first + second  # one at a time of each order
        transfer = Transfer(first=first, second=second, number=number)
        receipt = await field.producer.send(transfer, ordering_key=ordering_key)
        field.sent[receipt.command_id] = transfer
    field.crew.start(*[{"WORKER_CONCURRENCY": "13"}] * 4)


async def harmful(field: Field) -> None:
    """A hundred among ten thousand: they end a worker, crash a session, cannot be read, write in a read."""
    harms = field.count(100)
    commands: list[Any] = list(field.changes(10_000, 500))
    hows = ["exit", "memory", "session", "bug"]
    for number in range(harms):
        # Those that end a worker take a lease each time: they are few, and of the others there are many.
        how = hows[number % 20] if number % 20 < 3 else "bug"
        commands.insert(field.chance.randrange(len(commands)), Harm(name=f"h{number}", how=how))  # type: ignore[arg-type]
    await field.send(commands)
    for number, raw in enumerate(
        [b"not json", b'{"f":"execute","k":{},"a":[{}],"t":null,"et":1}', b"\x80\x04"]
    ):
        job_id = field.producer.keys.job_id(_uuid(number))
        await field.producer.redis.set(f"arq:job:{job_id}", raw)
        await field.producer.redis.zadd(field.producer.keys.queue, {job_id: 1})
    await field.producer.send(Peek(name="peek"))
    field.crew.start(*[{"CHAOS_LEASE": "2", "WORKER_UNREADABLE_TIMEOUT": "3"}] * 4)
    await field.until(len(field.sent) + 3, patience=240)
    unread = await field.ended() - len(field.sent)
    field.notes.append(f"{'' if unread == 3 else 'BAD: '}{unread} of 3 unreadable ones ended")


def _uuid(number: int) -> Any:
    from uuid import UUID  # noqa: PLC0415

    return UUID(int=number + 1)


async def clocks(field: Field) -> None:
    """One worker is an hour ahead, one an hour behind, one steps back; none begins a command early."""
    commands = [
        Change(name=f"a{number}", number=number, change="put", by=1) for number in range(field.count(1_000))
    ]
    for change in commands:
        receipt = await field.producer.send(change, delay=timedelta(seconds=field.chance.uniform(2, 12)))
        field.sent[receipt.command_id] = change
    field.crew.start({"CHAOS_CLOCK": "3600"}, {"CHAOS_CLOCK": "-3600"}, {"CHAOS_BACKWARDS": "1"})
    early = 0
    keys, redis = field.producer.keys, field.producer.redis
    dues = {}
    for command_id, command in field.sent.items():
        stamp = json.loads(await redis.get(keys.job(command_id)) or b"null")
        if stamp is not None:
            dues[command.number] = stamp["a"][1]["due"]  # type: ignore[attr-defined]
    done: set[int] = set()
    while len(done) < len(dues):
        seconds, micros = await redis.time()
        async with field.engine.connect() as connection:
            rows = await connection.execute(JOURNAL.select())
            there = {row.number for row in rows} - done
        # What is seen now was begun before the time that was asked for before looking, or right after.
        early += sum(dues.get(number, 0) > seconds * 1000 + micros / 1000 + 50 for number in there)
        done |= there
        await asyncio.sleep(0.02)
        if time.monotonic() > field.began + 120:
            break
    field.notes.append(f"{'BAD: ' if early else ''}{early} early")


async def backlog(field: Field) -> None:
    """What waits is older than a day."""
    ids = await field.send(field.changes(1_000, 100))
    keys, redis = field.producer.keys, field.producer.redis
    for command_id in ids:
        raw = json.loads(await redis.get(keys.job(command_id)) or b"")
        for name in ("accepted", "due"):
            raw["a"][1][name] -= DAY_AND_A_HALF
        raw["et"] -= DAY_AND_A_HALF
        await redis.set(keys.job(command_id), json.dumps(raw))
        score = await redis.zscore(keys.queue, keys.job_id(command_id)) or 0
        if score < 1e14:
            await redis.zadd(keys.queue, {keys.job_id(command_id): score - DAY_AND_A_HALF})
    field.crew.start()


async def cancels(field: Field) -> None:
    """A pool of five, in this process; runs are cancelled at random, as by a lost lease."""
    await field.send(field.changes(5_000, 200))
    url = field.engine.url.render_as_string(hide_password=False)
    options = WorkerOptions(database_url=url, pool_size=5, max_attempts=1, log_level="error")
    chaos._trace = field.trace
    own = App(chaos.HANDLERS, settings=options, queue=field.producer.settings)
    worker = Process(own, handle_signals=False)
    working = asyncio.create_task(worker.async_run())
    chance, cancelled, wanted = random.Random(field.chance.random()), 0, field.count(1_000)  # noqa: S311
    give_up = time.monotonic() + (field.patience or 300)
    while cancelled < wanted and not working.done() and time.monotonic() < give_up:
        if await field.ended() == len(field.sent):
            break
        await asyncio.sleep(0.005)
        for task in [*worker.tasks.values()]:
            if chance.random() < 0.5:
                task.cancel()
                cancelled += 1
    await field.part(1, patience=120)
    await worker.close()
    async with field.engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        left = (await connection.exec_driver_sql(query)).scalar_one() - 1
    bad = "BAD: " if left or worker.max_jobs > 5 else ""
    field.notes.append(f"{bad}{cancelled} cancels, {worker.max_jobs} slots, {left} connections left")


FAULTS = [
    Fault(delivered_ten_times, "every command delivered 10 times, shuffled", 1_000),
    Fault(in_the_way, "50 writers of one row; two that lock in opposite order", 1_000, ends=("applied",)),
    Fault(
        harmful,
        "workers killed by a command, crashed sessions, bugs, bytes that cannot be read, a read that writes",
        10_000,
        patience=240,
        ends=("applied", "rejected", "dead"),
        options={"again": True},
        quick=0.02,
    ),
    Fault(clocks, "clock of a worker an hour ahead, an hour behind, stepping back", 1_000),
    Fault(backlog, "backlog older than a day", 1_000),
    Fault(cancels, "pool of 5; 1,000 cancels", 5_000, options={"workers": 0}),
]
