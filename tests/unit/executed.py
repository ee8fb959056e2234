"""The executor on a database of its own, for tests whose steps are not async.

Each run does as it is told (`Then`) in the middle of its transaction; what is committed can be looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID

from sqlalchemy import Column, Executable, Integer, MetaData, Result, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command, CommandRejected, QueueSettings
from producers.wire import Answer, Envelope
from worker import executor
from worker.app import App
from worker.dead_letters import begin_retry, drop_letter, read_letter
from worker.delivery import Delivery, Failures, Later
from worker.settings import WorkerOptions
from worker.tables import worker_tables

R = TypeVar("R")
Then = Literal["applied", "rejected", "fails", "dies", "killed"]
MOST_ATTEMPTS = 2


class Step(Command[None]):
    """Leave a trace that is there as often as it is applied."""

    kind: ClassVar[str] = "interleavings.step"

    number: int


TABLES = worker_tables(None)
TRACES = Table("traces", MetaData(), Column("place", Integer, primary_key=True), Column("number", Integer))


class Killed(Exception):
    """The process of a run is gone, and its transaction with it."""


class Executed:
    """One database, one event loop, one app."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        options = WorkerOptions(
            database_url=f"sqlite+aiosqlite:///{folder / 'database'}",
            max_attempts=MOST_ATTEMPTS,
            log_level="error",
        )
        self._app = App({Step: self._step}, settings=options, queue=QueueSettings(name="q"))
        self._then: Then = "applied"
        self._await(self._transaction(lambda session: session.run_sync(self._create)))

    def close(self) -> None:
        """Close what is open."""
        self._await(self._app.close())
        self._runner.close()

    def clear(self) -> None:
        """Forget everything."""
        for table in (TRACES, TABLES.processed_commands, TABLES.dead_letters):
            self._await(self._transaction(partial(_execute, delete(table))))

    def run(
        self, command_id: str, generation: int, then: Then, *, first: bool, count: Callable[[str], Failures]
    ) -> Answer | Later:
        """Carry out one delivery; raise Killed where it is killed in its transaction."""

        async def counted(reason: str) -> Failures:
            failures = count(reason)
            return Failures(MOST_ATTEMPTS, failures.age) if then == "dies" else failures

        self._then, used = then, UUID(command_id)
        envelope = Envelope.of(Step(number=used.int), used, generation)
        body = envelope.encode().encode()
        delivery = Delivery(used, "q", body, envelope, counted, first=first)
        try:
            return self._await(executor.execute(self._app, delivery))
        except asyncio.CancelledError:
            raise Killed from None

    def endings(self) -> dict[str, tuple[str, int]]:
        """How the commands ended that did, and in which generation."""
        table = TABLES.processed_commands
        rows = self._await(self._transaction(partial(_execute, select(table))))
        return {str(row.command_id): (row.ending, row.generation) for row in rows}

    def effects(self) -> Counter[str]:
        """How often each command was applied."""
        rows = self._await(self._transaction(partial(_execute, select(TRACES.c.number))))
        return Counter(str(UUID(int=number)) for (number,) in rows)

    def begin_replay(self, command_id: str) -> int:
        """Take a dead letter up, as `replay` does before it sends; return the generation."""

        async def begin(session: AsyncSession) -> int:
            return await begin_retry(session, TABLES, await read_letter(session, TABLES, UUID(command_id)))  # type: ignore[arg-type]

        return self._await(self._transaction(begin))

    def drop(self, command_id: str) -> None:
        """Drop a dead letter."""

        async def drop(session: AsyncSession) -> None:
            await drop_letter(session, TABLES, await read_letter(session, TABLES, UUID(command_id)))  # type: ignore[arg-type]

        self._await(self._transaction(drop))

    async def _step(self, session: AsyncSession, command: Step) -> None:
        await session.execute(insert(TRACES).values(number=command.number))
        match self._then:
            case "rejected":
                raise CommandRejected("as it was told")
            case "fails" | "dies":
                raise RuntimeError("as it was told")
            case "killed":
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(0)

    async def _transaction(self, what: Callable[[AsyncSession], Awaitable[R]]) -> R:
        async with self._app.transaction() as session:
            return await what(session)

    def _await(self, what: Awaitable[R]) -> R:
        async def awaited() -> R:
            return await what

        return self._runner.run(awaited())

    @staticmethod
    def _create(session: Any) -> None:
        for metadata in (TABLES.metadata, TRACES.metadata):
            metadata.create_all(session.connection())


async def _execute(statement: Executable, session: AsyncSession) -> Result[Any]:
    return await session.execute(statement)
