"""Commands written in a transaction of yours: it and they are committed together, or not at all.

    async with sessions.begin() as session:
        session.add(Invoice(...))
        await send(session, CreateUser(...))

A row in the table `outbox`, next to your own tables; a worker hands it to the queue as soon as it is
committed. It needs SQLAlchemy (the extra [outbox]), the worker's migrations, and no Redis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import Insert, String, Text, Uuid, column, insert, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from .client import Producer, Receipt
from .commands import Command
from .sending import Moment, Sending
from .settings import OutboxSettings, QueueSettings

R = TypeVar("R")


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
    """Where commands for a `queue` are written; by default QUEUE_NAME, and the schema is WORKER_SCHEMA."""

    def __init__(self, *, queue: str | None = None, schema: str | None = None) -> None:
        self._settings = QueueSettings.load(name=queue)
        self._table = _table(OutboxSettings.load(db_schema=schema).db_schema)

    async def send(
        self,
        session: AsyncSession | AsyncConnection,
        command: Command[R],
        *,
        command_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        deadline: Moment | None = None,
        ordering_key: str | None = None,
    ) -> Written[R]:
        """Write one command, by one INSERT, in the transaction that is open; nothing is committed.

        The arguments are those of `Producer.send`; times count from the INSERT, on
        PostgreSQL from the beginning of its transaction, by the database's clock.
        Raises PayloadTooLarge, and ValueError for a read: nobody would have its answer.
        """
        sending = self._sending(command, command_id, ordering_key=ordering_key)
        [written] = await self._write(session, [sending.at(delay=delay, at=at, deadline=deadline)])
        return cast("Written[R]", written)

    async def send_many(
        self,
        session: AsyncSession | AsyncConnection,
        commands: Iterable[Command[R]],
        *,
        command_ids: Iterable[UUID | str] | None = None,
        ordered: bool = True,
    ) -> list[Written[R]]:
        """Write many commands in their order, as `Producer.send_many` takes them."""
        pairs = (
            ((c, None) for c in commands) if command_ids is None else zip(commands, command_ids, strict=True)
        )
        sendings = [self._sending(command, given, ordered=ordered) for command, given in pairs]
        return await self._write(session, sendings) if sendings else []

    def _sending(self, command: Command[Any], given: UUID | str | None, **options: Any) -> Sending:
        if command.read_only:
            message = f"{command.kind} only reads: send it with a Producer, which waits for its answer"
            raise ValueError(message)
        return Sending.of(command, given, limit=self._settings.payload_limit, **options)

    async def _write(
        self, session: AsyncSession | AsyncConnection, sendings: Sequence[Sending]
    ) -> list[Written[Any]]:
        rows = [
            {"command_id": sending.command_id, "queue": self._settings.name, "sending": sending.written()}
            for sending in sendings
        ]
        await session.execute(self._table, rows if len(rows) > 1 else rows[0])
        return [Written(sending.command_id, cast("Command[Any]", sending.command)) for sending in sendings]


async def send(
    session: AsyncSession | AsyncConnection,
    command: Command[R],
    *,
    command_id: UUID | str | None = None,
    delay: float | timedelta | None = None,
    at: datetime | None = None,
    deadline: Moment | None = None,
    ordering_key: str | None = None,
) -> Written[R]:
    """Write one command to the outbox that the environment names; see `Outbox.send`."""
    times: dict[str, Any] = {"delay": delay, "at": at, "deadline": deadline}
    return await Outbox().send(session, command, command_id=command_id, ordering_key=ordering_key, **times)


async def send_many(
    session: AsyncSession | AsyncConnection,
    commands: Iterable[Command[R]],
    *,
    command_ids: Iterable[UUID | str] | None = None,
    ordered: bool = True,
) -> list[Written[R]]:
    """Write many commands to the outbox that the environment names; see `Outbox.send_many`."""
    return await Outbox().send_many(session, commands, command_ids=command_ids, ordered=ordered)


def _table(schema: str | None) -> Insert:
    """Say the INSERT; worker/tables.py has the whole table."""
    ids = Uuid().with_variant(Uuid(native_uuid=False), "mysql", "mariadb")
    columns = column("command_id", ids), column("queue", String()), column("sending", Text())
    return insert(table("outbox", *columns, schema=schema))
