"""A service whose every effect can be checked: `--app tests.chaos.app`.

A command changes a row and writes into a journal without a key: what is applied twice is there twice, and
what is out of order is there out of order. Some commands do harm.

Its environment may shorten leases (CHAOS_LEASE, CHAOS_PATIENCE, in seconds), put the clock wrong
(CHAOS_CLOCK, in seconds; CHAOS_BACKWARDS has it step back), make it a version older (CHAOS_OLD), and have it
publish the outbox whoever else does, and be killed after that with a probability (CHAOS_RELAY).
"""

import asyncio
import os
import random
import signal
import time
from typing import Annotated, Any, ClassVar, Literal

from redis.asyncio import Redis
from sqlalchemy import Column, Float, Integer, MetaData, String, Table, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command, CommandRejected, Query
from producers.commands import Key
from worker import leader, relay
from worker.app import App, Handler
from worker.engine import worker

PATH = "tests.chaos.app"
TRACE = "chaos:runs"
METADATA = MetaData()
ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", Integer, nullable=False),
)
JOURNAL = Table(
    "journal",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=True),
    Column("number", Integer, index=True, nullable=False),
    Column("name", String(40), nullable=False),
    Column("change", String(10), nullable=False),
    Column("by", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

_environment = os.environ.get
_trace = Redis.from_url(_environment("TRACE_URL", "redis://localhost:6379/0"))
_newest = 1 if _environment("CHAOS_OLD") else 2


class Change(Command[int]):
    """Set an account to a value, raise it by one, or remove it; rejected where there is none to change."""

    kind: ClassVar[str] = "account.change"
    version: ClassVar[int] = _newest
    lifts = {1: dict} if _newest > 1 else {}

    name: Annotated[str, Key()]
    number: int
    change: Literal["put", "add", "remove"]
    by: int = 0


class Harm(Command[None]):
    """End the process, or the database session; it stands in the lane of an account of its own."""

    kind: ClassVar[str] = "account.harm"

    name: Annotated[str, Key()]
    how: Literal["exit", "memory", "session", "bug"]


class Stall(Command[None]):
    """Change an account and have the process stopped before the ending; the next run fails."""

    kind: ClassVar[str] = "account.stall"

    name: Annotated[str, Key()]
    number: int
    then: Literal["rejected", "dead"]


class Block(Command[None]):
    """Keep the event loop from turning, the first time."""

    kind: ClassVar[str] = "account.block"

    name: Annotated[str, Key()]
    number: int
    seconds: float


class Transfer(Command[None]):
    """Lock two accounts, in this order, and change both; it stands in no lane."""

    kind: ClassVar[str] = "account.transfer"

    first: str
    second: str
    number: int


class Peek(Query[int]):
    """A read that writes."""

    kind: ClassVar[str] = "account.peek"

    name: str


async def change(session: AsyncSession, command: Change) -> int:
    """Say in Redis who begins when; take long enough to be killed in the middle of it."""
    await _trace.rpush(TRACE, f"{command.number} {os.getpid()} {time.time()}")
    name, value = command.name, 0
    await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311
    if command.change == "put":
        put = postgresql.insert(ACCOUNTS).values(name=name, value=command.by)
        await session.execute(put.on_conflict_do_update(index_elements=["name"], set_={"value": command.by}))
    elif command.change == "add":
        raised = update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(value=ACCOUNTS.c.value + command.by)
        found = (await session.execute(raised.returning(ACCOUNTS.c.value))).scalar_one_or_none()
        if found is None:
            raise CommandRejected("there is no such account")
        value = found
    else:
        await session.execute(delete(ACCOUNTS).where(ACCOUNTS.c.name == name))
    await _note(session, command.number, name, command.change, command.by)
    return value


async def harm(session: AsyncSession, command: Harm) -> None:
    match command.how:
        case "exit":
            os._exit(3)
        case "memory":
            os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does to a process that takes all memory
        case "session":
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            os.kill(pid, signal.SIGKILL)
            await session.execute(text("SELECT 1"))
        case "bug":
            raise RuntimeError("a bug")


async def stall(session: AsyncSession, command: Stall) -> None:
    if await _trace.set(f"stalled:{command.number}", os.getpid(), nx=True):
        await _note(session, command.number, command.name, "put", 0)
        await _trace.rpush("chaos:stalled", os.getpid())
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if command.then == "rejected":
        raise CommandRejected("the second run is")
    raise RuntimeError("the second run fails")


async def block(session: AsyncSession, command: Block) -> None:
    if await _trace.set(f"blocked:{command.seconds}", 1, nx=True):
        time.sleep(command.seconds)  # noqa: ASYNC251  # that is the fault
    await asyncio.sleep(0.05)
    await _note(session, command.number, command.name, "put", 0)


async def transfer(session: AsyncSession, command: Transfer) -> None:
    for name in (command.first, command.second):
        await session.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name).with_for_update())
        await asyncio.sleep(0.001)
    names = ACCOUNTS.c.name.in_([command.first, command.second])
    await session.execute(update(ACCOUNTS).where(names).values(value=ACCOUNTS.c.value + 1))
    await _note(session, command.number, command.first, "add", 1)


async def peek(session: AsyncSession, command: Peek) -> int:
    await session.execute(insert(ACCOUNTS).values(name=command.name, value=1))
    return 1


async def _note(session: AsyncSession, number: int, name: str, what: str, by: int) -> None:
    row = {"number": number, "name": name, "change": what, "by": by, "at": time.time()}
    await session.execute(insert(JOURNAL).values(row))


def _set_the_clock(offset: float, *, backwards: bool) -> None:
    """Have this process believe that it is another time; backwards, it is an hour earlier after a while."""
    right, began = time.time, time.monotonic()

    def wrong() -> float:
        stepped = -3600 if backwards and time.monotonic() - began > 5 else 0
        return right() + offset + stepped

    time.time = wrong


def _kill_relays(probability: float) -> None:
    """Publish a few rows at a time; die between publishing them and noting it."""
    noting = relay.Relay._note

    async def note(self: relay.Relay, *about: Any) -> bool:
        if random.random() < probability:  # noqa: S311
            os.kill(os.getpid(), signal.SIGKILL)
        return await noting(self, *about)

    async def leads(_self: leader.Leader) -> bool:
        return True

    relay._BATCH = 20
    relay.Relay._note, leader.Leader.leads = note, leads  # type: ignore[method-assign,assignment]


if (deadly := _environment("CHAOS_RELAY")) is not None:
    _kill_relays(float(deadly))
if (lease := _environment("CHAOS_LEASE")) is not None:
    worker._LEASE, worker._RENEWED_EVERY = float(lease), float(lease) / 3
if (patience := _environment("CHAOS_PATIENCE")) is not None:
    worker._LOOP_PATIENCE = float(patience)
if _environment("CHAOS_CLOCK") or _environment("CHAOS_BACKWARDS"):
    _set_the_clock(float(_environment("CHAOS_CLOCK") or 0), backwards=bool(_environment("CHAOS_BACKWARDS")))

HANDLERS: dict[type[Command[Any]], Handler] = {
    Change: change,
    Harm: harm,
    Stall: stall,
    Block: block,
    Transfer: transfer,
    Peek: peek,
}
app = App(HANDLERS)
