"""Commands written in a transaction of yours: it and they are committed together, or not at all.

    async with sessions.begin() as session:
        session.add(Invoice(...))
        await send(session, CreateUser(...))

A row in the table `outbox`, next to your own tables; a worker hands it to the queue as soon as it is
committed. It needs SQLAlchemy (the extra [outbox]), the worker's migrations, and no Redis.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import String, Text, Uuid, column, insert, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from .client import Producer, Receipt
from .commands import Command
from .sending import Moment, Sending, with_ids
from .settings import QueueSettings
from .tracing import sending as traced

R = TypeVar("R")
_ENVIRONMENT = ("QUEUE_NAME", "QUEUE_PAYLOAD_LIMIT", "WORKER_SCHEMA")


@dataclass(frozen=True, slots=True)
class Written(Generic[R]):
    """A command that goes to the queue once its transaction is committed."""

    command_id: UUID
    command: Command[R]

    def receipt(self, producer: Producer) -> Receipt[R]:
        """Give what its result is waited for with.

        Before the COMMIT, and where Redis was lost after the command had ended, it is waited for in vain:
        give `result` a timeout.
        """
        return Receipt(self.command_id, "written", self.command, producer)


class Outbox:
    """The outbox of a `queue`, by default QUEUE_NAME; its table is in `schema`, by default WORKER_SCHEMA."""

    def __init__(self, *, queue: str | None = None, schema: str | None = None) -> None:
        settings = QueueSettings.load(name=queue)
        self.queue, self.payload_limit = settings.name, settings.payload_limit
        ids = Uuid().with_variant(Uuid(native_uuid=False), "mysql", "mariadb")
        columns = column("command_id", ids), column("queue", String()), column("sending", Text())
        # The whole table is in worker/tables.py.
        self.insert = insert(
            table("outbox", *columns, schema=schema or os.environ.get("WORKER_SCHEMA") or None)
        )


async def send(
    session: AsyncSession | AsyncConnection,
    command: Command[R],
    *,
    command_id: UUID | str | None = None,
    delay: float | timedelta | None = None,
    at: datetime | None = None,
    deadline: Moment | None = None,
    ordering_key: str | None = None,
    outbox: Outbox | None = None,
) -> Written[R]:
    """Write one command, by one INSERT, in the transaction that is open; nothing is committed.

    The arguments are those of `Producer.send`; times count from the INSERT, on PostgreSQL from the beginning
    of its transaction, by the database's clock. `outbox` is by default the one that the environment names.
    Raises PayloadTooLarge, and ValueError for a read: nobody would have its answer.
    """
    outbox = outbox or _of_environment()
    sending = _sending(outbox, command, command_id, ordering_key=ordering_key)
    [written] = await _write(session, outbox, [sending.at(delay=delay, at=at, deadline=deadline)])
    return cast("Written[R]", written)


async def send_many(
    session: AsyncSession | AsyncConnection,
    commands: Iterable[Command[R]],
    *,
    command_ids: Iterable[UUID | str] | None = None,
    ordered: bool = True,
    outbox: Outbox | None = None,
) -> list[Written[R]]:
    """Write many commands in their order, as `Producer.send_many` takes them."""
    outbox = outbox or _of_environment()
    pairs = with_ids(commands, command_ids)
    sendings = [_sending(outbox, command, given, ordered=ordered) for command, given in pairs]
    return await _write(session, outbox, sendings) if sendings else []


def _of_environment() -> Outbox:
    """Read the environment, if it has changed: to read it takes as long as the INSERT."""
    return _made(*map(os.environ.get, _ENVIRONMENT))


@cache
def _made(*_environment: str | None) -> Outbox:
    return Outbox()


def _sending(outbox: Outbox, command: Command[Any], given: UUID | str | None, **options: Any) -> Sending:
    if command.read_only:
        message = f"{command.kind} only reads: send it with a Producer, which waits for its answer"
        raise ValueError(message)
    return Sending.of(command, given, limit=outbox.payload_limit, **options)


async def _write(
    session: AsyncSession | AsyncConnection, outbox: Outbox, sendings: Sequence[Sending]
) -> list[Written[Any]]:
    with traced(outbox.queue, sendings, "create") as batch:
        rows = [
            {"command_id": sending.command_id, "queue": outbox.queue, "sending": sending.written()}
            for sending in batch
        ]
        await session.execute(outbox.insert, rows if len(rows) > 1 else rows[0])
    return [Written(sending.command_id, cast("Command[Any]", sending.command)) for sending in sendings]
