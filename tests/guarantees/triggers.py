"""Faults inside PostgreSQL: triggers on processed_commands that refuse an ending, or hold it back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producers.wire import Ending

_GATE = 4711
_BLOCKED = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = :kind
"""


async def refuse(database: AsyncEngine, ending: Ending, sqlstate: str, *, at_commit: bool = False) -> None:
    """Refuse rows of this ending with an error: in the INSERT, or not before COMMIT."""
    body = f"RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{sqlstate}';"
    if at_commit:
        await _create(
            database, "CONSTRAINT TRIGGER fault AFTER", "DEFERRABLE INITIALLY DEFERRED", ending, body
        )
    else:
        await _create(database, "TRIGGER fault BEFORE", "", ending, body)


class Gate:
    """Holds whoever inserts a certain ending, until `open`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def held(self) -> int:
        """Wait until somebody stands at the gate; return the process id of its backend."""
        return await self._blocked("advisory")

    async def queued(self) -> int:
        """Wait until somebody waits for the one at the gate to commit; return the id of its backend."""
        return await self._blocked("transactionid")

    async def open(self) -> None:
        """Let it go on."""
        await self._connection.execute(text("SELECT pg_advisory_unlock(:gate)"), {"gate": _GATE})

    async def kill(self, pid: int) -> None:
        """End the backend of the one that is held: its worker has died, its transaction with it."""
        await self._connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    async def _blocked(self, kind: str) -> int:
        async with asyncio.timeout(10):
            while True:
                found = (await self._connection.execute(text(_BLOCKED), {"kind": kind})).scalar()
                if found is not None:
                    return int(found)
                await asyncio.sleep(0.005)


@asynccontextmanager
async def gate(
    database: AsyncEngine, ending: Ending, where: Literal["before", "after"]
) -> AsyncIterator[Gate]:
    """Hold a delivery right before it inserts this ending, or after that and before its COMMIT."""
    body = f"PERFORM pg_advisory_xact_lock({_GATE}); RETURN NEW;"
    await _create(database, f"TRIGGER fault {where}", "", ending, body)
    async with database.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("SELECT pg_advisory_lock(:gate)"), {"gate": _GATE})
        yield Gate(connection)


async def _create(database: AsyncEngine, trigger: str, deferred: str, ending: Ending, body: str) -> None:
    function = f"FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
    trigger = f"{trigger} INSERT ON processed_commands {deferred} FOR EACH ROW"
    async with database.begin() as connection:
        await connection.execute(text(f"CREATE {function}"))
        await connection.execute(
            text(f"CREATE {trigger} WHEN (NEW.ending = '{ending}') EXECUTE FUNCTION fault()")
        )
