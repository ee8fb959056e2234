"""App: joins a domain (which command is carried out by which handler) to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers.commands import Atomic, Command, Registry
from producers.errors import CommandRejected, InvalidSettings
from producers.settings import QueueSettings

from . import database
from .feed import FeedRows
from .kept import Kept
from .monitoring.tally import Tally
from .settings import WorkerOptions
from .tables import WorkerTables, worker_tables

if TYPE_CHECKING:
    from .migrate import Migrations

Handler = Callable[[AsyncSession, Any], Awaitable[object]]
"""Carries a command out in an open transaction; it returns the result and never commits."""


class App:
    """A domain and all that a worker needs to serve it.

    `handlers` maps each command class to its handler. `sessions` is an async_sessionmaker of your own
    engine; by default one is made from the settings. `migrations` and `metadata` are what `migrate` and
    `tables` act on besides the worker's own tables: nothing, by default.
    """

    def __init__(
        self,
        handlers: Mapping[type[Command[Any]], Handler],
        *,
        sessions: database.Sessions | None = None,
        settings: WorkerOptions | None = None,
        queue: QueueSettings | None = None,
        migrations: Sequence[Migrations] = (),
        metadata: MetaData | None = None,
    ) -> None:
        self.registry = Registry([*handlers, Atomic])
        self.handlers = dict(handlers)
        self.migrations = tuple(migrations)
        self.metadata = metadata
        self.kept: Kept | None = None
        self._given = sessions, settings, queue

    @cached_property
    def options(self) -> WorkerOptions:
        """The worker's settings, read from the environment when first asked for."""
        sessions, given, _ = self._given
        options = given or WorkerOptions.load()
        if sessions is None and not options.database_url:
            raise InvalidSettings(
                "DATABASE_URL: is missing; it looks like postgresql+asyncpg://user:password@host/name"
            )
        return options

    @cached_property
    def queue(self) -> QueueSettings:
        """The queue's settings."""
        return self._given[2] or QueueSettings.load()

    @cached_property
    def sessions(self) -> database.Sessions:
        """What makes a new session for each attempt."""
        sessions = self._given[0]
        if sessions is None:
            return database.create_sessions(database.create_engine(self.options))
        # Values stay out of errors and logs with an engine of yours as well.
        engine = database.engine_of(sessions)
        engine.sync_engine.hide_parameters = self.options.echo != "values"
        database.prepare(engine, self.options)
        return sessions

    @cached_property
    def replica(self) -> database.Sessions | None:
        """What makes a new session on the replica, where there is one."""
        url = self.options.read_database_url
        return database.create_sessions(database.create_engine(self.options, url)) if url else None

    def apart(self) -> App:
        """Make the same App on one connection of its own, for another event loop than that of the work."""
        sessions, settings = None, self.options.model_copy(update={"pool_size": 1, "pool_pre_ping": True})
        if self._given[0] is not None:
            sessions = database.create_sessions(database.unpooled(self.engine))
        same = App(self.handlers, sessions=sessions, settings=settings, queue=self.queue)
        same.migrations, same.metadata = self.migrations, self.metadata
        return same

    def keep_connections(self) -> None:
        """Have attempts go without the pool, until `close`: for a process that does nothing but work."""
        given = self.sessions.kw
        if (
            self.kept is None
            and self.sessions.class_ is AsyncSession
            and not {"binds", "sync_session_class"} & {*given}
        ):
            self.kept = Kept(self.sessions)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[AsyncSession]:
        """Open a session in a transaction of its own, for what is not an attempt's."""
        if self.kept is not None:
            await self.kept.make_room()
        settings = database.transaction_options(self.engine, read_only=read_only)
        async with asyncio.timeout(self.options.commit_timeout), self.sessions.begin() as session:
            await session.connection(execution_options=settings)
            yield session

    def sessions_for(self, command: Command[Any], *, first: bool) -> database.Sessions:
        """Choose where a command runs: a read that may be stale on the replica, the `first` time."""
        may_be_stale = command.read_only and getattr(command, "stale_ok", False)
        return (self.replica if first and may_be_stale else None) or self.sessions

    @property
    def engine(self) -> AsyncEngine:
        """The engine that the sessions are bound to."""
        return database.engine_of(self.sessions)

    @cached_property
    def tables(self) -> WorkerTables:
        """The worker's own tables, in WORKER_SCHEMA."""
        return worker_tables(self.options.db_schema)

    @cached_property
    def feed(self) -> FeedRows | None:
        """Where it is written what is changed, if anybody wants to hear of it."""
        return FeedRows(self.tables, self.queue.name) if self.options.feed else None

    @cached_property
    def tally(self) -> Tally:
        """What this process has done with it so far."""
        return Tally(self.registry)

    @property
    def slots(self) -> int:
        """How many commands run side by side: never more than the pool has connections."""
        capacity = database.pool_capacity(self.engine)
        return self.options.concurrency if capacity is None else min(self.options.concurrency, capacity)

    @property
    def worker_settings(self) -> type:
        """The class for the `arq` command: `arq myservice.jobs.WorkerSettings`."""
        from .plain_arq import worker_settings  # noqa: PLC0415  # it needs this module

        return worker_settings(self)

    async def handle(self, session: AsyncSession, command: Command[Any]) -> object:
        """Let its handler carry a command out; each one of an Atomic, in order."""
        if not isinstance(command, Atomic):
            return await self._call(session, command)
        results = []
        for index, part in enumerate(command.commands):
            try:
                results.append(await self._call(session, part))
                await session.flush()  # what the database refuses is refused here, where we know the index
            except CommandRejected as error:
                error.field = f"commands.{index}" + (f".{error.field}" if error.field else "")
                raise
            except Exception as error:
                error.add_note(f"in commands.{index} ({part.kind})")
                raise
        return results

    async def _call(self, session: AsyncSession, command: Command[Any]) -> object:
        try:
            return await self.handlers[type(command)](session, command)
        except (asyncio.CancelledError, SystemExit) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # a timeout or a shutdown; else it is a failure of the handler's like any other
            message = f"the handler raised {type(error).__name__}"
            raise RuntimeError(message) from error

    async def close(self) -> None:
        """Close the connections that wait in the engine's pool; they are of no use in another event loop.

        An engine of yours opens new ones when it is used again.
        """
        if self.kept is not None:
            await self.kept.close()
            self.kept = None
        if (replica := self.__dict__.pop("replica", None)) is not None:
            await database.engine_of(replica).dispose()
        if self._given[0] is not None:
            await self.engine.dispose()
        elif "sessions" in self.__dict__:
            await self.engine.dispose()
            del self.__dict__["sessions"]
