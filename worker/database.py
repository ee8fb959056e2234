"""The database as the worker needs it: its engine, its sessions, and how a transaction begins."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import NullPool, QueuePool

from . import database_url, mariadb, sqlite
from .types import MARIADB

if TYPE_CHECKING:
    from .settings import WorkerOptions

Sessions = async_sessionmaker[AsyncSession]
_SQLITE_POOL = 2
_UNPREPARED: dict[str, Any] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",  # the statement without a name, which ends with the next one
}


def create_engine(options: WorkerOptions, url: str = "") -> AsyncEngine:
    """Make an engine of a process: a connection for each slot, parameters hidden from errors and logs.

    It is for DATABASE_URL, or another `url`.
    """
    url = url or options.database_url
    engine = create_async_engine(
        url,
        pool_size=options.pool_size or _pool_size(options, url),
        max_overflow=0,
        pool_timeout=options.job_timeout,
        pool_pre_ping=options.pool_pre_ping,
        hide_parameters=options.echo != "values",
        echo=bool(options.echo),
        **_connecting(options, url),
    )
    prepare(engine, options)
    return engine


def _pool_size(options: WorkerOptions, url: str) -> int:
    """Say how many connections are worth having: of SQLite's one writes, and those that wait slow it down."""
    of_sqlite = make_url(url).drivername == database_url.SQLITE
    return min(options.concurrency, _SQLITE_POOL) if of_sqlite else options.concurrency


def prepare(engine: AsyncEngine, options: WorkerOptions) -> None:
    """Have an engine's connections to SQLite or MariaDB do what PostgreSQL's do by themselves.

    Connections that are open already stay as they are.
    """
    patience, idle = options.commit_timeout / 2, options.job_timeout + options.commit_timeout
    if engine.dialect.name == "sqlite":
        sqlite.prepare(engine.sync_engine, patience=patience)
    elif engine.dialect.name in MARIADB:
        mariadb.prepare(engine.sync_engine, patience=patience, longest=options.job_timeout, idle=idle)


def transaction_options(engine: AsyncEngine, *, read_only: bool = False) -> dict[str, Any]:
    """Return the execution options of a transaction: READ COMMITTED where it may write.

    One that only reads sees all along what was committed when it began: a list that takes two SELECTs, or
    the rows of a relation, would else be of two moments.
    """
    if engine.dialect.name == "postgresql":
        isolation = "REPEATABLE READ" if read_only else "READ COMMITTED"
        return {"isolation_level": isolation, "postgresql_readonly": read_only}
    return {"read_only": read_only}


def _connecting(options: WorkerOptions, url: str) -> dict[str, Any]:
    driver = make_url(url).drivername
    if driver == database_url.SQLITE:
        return {"connect_args": {"async_creator_fn": sqlite.open_connection}}
    if driver == database_url.MARIADB:
        return {"connect_args": {"connect_timeout": ceil(options.commit_timeout), "charset": "utf8mb4"}}
    limit = options.job_timeout + options.commit_timeout
    settings = {
        "application_name": "crud-worker",
        # A worker that is frozen, or cut off, in a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": str(round(limit * 1000)),
    }
    arguments = {"timeout": options.commit_timeout, "server_settings": settings}
    if not options.prepared_statements:
        arguments |= _UNPREPARED
    return {"isolation_level": "READ COMMITTED", "connect_args": arguments}


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Sessions whose objects stay readable after COMMIT."""
    return async_sessionmaker(engine, expire_on_commit=False)


def engine_of(sessions: Sessions) -> AsyncEngine:
    """Return the engine that a sessionmaker is bound to."""
    bind = sessions.kw.get("bind")
    if isinstance(bind, AsyncEngine):
        return bind
    message = "sessions must be an async_sessionmaker bound to an AsyncEngine"
    raise TypeError(message)


def unpooled(engine: AsyncEngine) -> AsyncEngine:
    """Make an engine that connects as this one does, and keeps nothing open."""
    connect = engine.pool._creator  # noqa: SLF001  # not public; it knows all that `connect_args` said
    return create_async_engine(engine.url, creator=connect, poolclass=NullPool, hide_parameters=True)


def pool_capacity(engine: AsyncEngine) -> int | None:
    """How many connections the engine may have open at once; None is no limit."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    overflow: int = pool._max_overflow  # noqa: SLF001  # not public; -1 is no limit
    return None if overflow < 0 else pool.size() + overflow
