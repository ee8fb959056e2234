"""Faults inside a database: triggers on processed_commands that refuse an ending, or hold it back."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producers.wire import Ending

_GATE = 4711


async def refuse(database: AsyncEngine, ending: Ending, sqlstate: str, *, at_commit: bool = False) -> None:
    """Refuse rows of this ending with an error: in the INSERT, or, on PostgreSQL, not before COMMIT."""
    match database.dialect.name:
        case "postgresql":
            body = f"RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{sqlstate}';"
        case "mariadb":
            body = f"SIGNAL SQLSTATE '{sqlstate}' SET MESSAGE_TEXT = 'refused by the test';"
        case _:
            assert sqlstate == "23514"
            body = "INSERT INTO fault VALUES (0);"
            async with database.begin() as connection:
                await connection.execute(text("CREATE TABLE fault (n int CHECK (n > 0))"))
    if at_commit:
        await _create(
            database, "CONSTRAINT TRIGGER fault AFTER", "DEFERRABLE INITIALLY DEFERRED", ending, body
        )
    else:
        await _create(database, "TRIGGER fault BEFORE", "", ending, body)


class Gate(ABC):
    """Holds whoever inserts a certain ending, until `open`."""

    body: ClassVar[str]
    """What the trigger does."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @abstractmethod
    async def shut(self) -> None:
        """Let nobody through."""

    @abstractmethod
    async def open(self) -> None:
        """Let it go on."""

    @abstractmethod
    async def held(self) -> int:
        """Wait until somebody stands at the gate; return the id of its connection."""

    @abstractmethod
    async def queued(self) -> int:
        """Wait until somebody waits for the one at the gate to commit; return the id of its connection."""

    @abstractmethod
    async def kill(self, pid: int) -> None:
        """End the connection of the one that is held: its worker has died, its transaction with it."""

    async def _until_found(self, query: str, *, pause: float = 0.005, **parameters: str) -> int:
        async with asyncio.timeout(10):
            while True:
                found = (await self._connection.execute(text(query), parameters)).scalar()
                if found is not None:
                    return int(found)
                await asyncio.sleep(pause)


class _PostgresGate(Gate):
    body = f"PERFORM pg_advisory_xact_lock({_GATE}); RETURN NEW;"
    _BLOCKED = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = :kind
    """

    async def shut(self) -> None:
        await self._connection.execute(text("SELECT pg_advisory_lock(:gate)"), {"gate": _GATE})

    async def open(self) -> None:
        await self._connection.execute(text("SELECT pg_advisory_unlock(:gate)"), {"gate": _GATE})

    async def held(self) -> int:
        return await self._until_found(self._BLOCKED, kind="advisory")

    async def queued(self) -> int:
        return await self._until_found(self._BLOCKED, kind="transactionid")

    async def kill(self, pid: int) -> None:
        await self._connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


class _MariaDBGate(Gate):
    # A lock of the server, hence the name; and of the connection, hence let go of at once.
    _NAME = "concat('gate.', database())"
    body = f"DO get_lock({_NAME}, 60); DO release_lock({_NAME});"
    _HELD = """
        SELECT id FROM information_schema.processlist WHERE db = database() AND state = 'User lock'
    """
    _QUEUED = """
        SELECT trx_mysql_thread_id FROM information_schema.innodb_trx
        JOIN information_schema.processlist ON id = trx_mysql_thread_id
        WHERE db = database() AND trx_state = 'LOCK WAIT'
    """

    async def shut(self) -> None:
        await self._connection.execute(text(f"DO get_lock({self._NAME}, 0)"))

    async def open(self) -> None:
        await self._connection.execute(text(f"DO release_lock({self._NAME})"))

    async def held(self) -> int:
        return await self._until_found(self._HELD)

    async def queued(self) -> int:
        return await self._until_found(
            self._QUEUED, pause=0.11
        )  # its tables stand still for a tenth of a second

    async def kill(self, pid: int) -> None:
        await self._connection.execute(text(f"KILL {pid}"))


@asynccontextmanager
async def gate(
    database: AsyncEngine, ending: Ending, where: Literal["before", "after"]
) -> AsyncIterator[Gate]:
    """Hold a delivery right before it inserts this ending, or after that and before its COMMIT."""
    kind = _MariaDBGate if database.dialect.name == "mariadb" else _PostgresGate
    await _create(database, f"TRIGGER fault {where}", "", ending, kind.body)
    async with database.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        closed = kind(connection)
        await closed.shut()
        yield closed


async def _create(database: AsyncEngine, trigger: str, deferred: str, ending: Ending, body: str) -> None:
    on = f"CREATE {trigger} INSERT ON processed_commands {deferred} FOR EACH ROW"
    match database.dialect.name:
        case "postgresql":
            statements = [
                f"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
                f"{on} WHEN (NEW.ending = '{ending}') EXECUTE FUNCTION fault()",
            ]
        case "mariadb":
            statements = [f"{on} BEGIN IF NEW.ending = '{ending}' THEN {body} END IF; END"]
        case _:
            statements = [f"{on} WHEN NEW.ending = '{ending}' BEGIN {body} END"]
    async with database.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
