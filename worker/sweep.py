"""Looks after the commands that wait in lanes, in case that what they wait for has gone without a word.

Whoever ends a command frees those behind it. A worker of another kind may finish a job and know nothing of
lanes, and a person may delete one: then the database is asked how it ended, and its place is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from producers.wire import Ending

from . import endings
from .chore import Chore
from .deposits import Then, Told, parks_when_dead
from .logs import log

if TYPE_CHECKING:
    from sqlalchemy import Row

    from .app import App
    from .transport import Transport

_MOST, _BATCHES = 1000, 10


class Sweeper(Chore):
    """Sweeps the lanes of one queue every five seconds; many processes share the work."""

    name = "sweep"
    every = 5.0

    def __init__(self, app: App, transport: Transport) -> None:
        self._app, self._lanes, self._deposits = app, transport.lanes, transport.deposits

    async def turn(self) -> None:
        """Look at all that wait, and that nobody has looked at for a while; then at the dead."""
        for _ in range(_BATCHES):
            looked, gone = await self._lanes.sweep(_MOST)
            if gone:
                await self._deposits.tell(await self._told(gone))
            if looked < _MOST:
                break
        parked, _ = await self._lanes.parked(_MOST)
        if parked:
            await self._deposits.tell(await self._let_go(parked))

    async def _told(self, gone: dict[UUID, int]) -> list[Told]:
        """Say how commands ended whose jobs are gone; a write always has an ending before its job goes."""
        rows = {row.command_id: row for row in await self._rows([*gone])}
        told = []
        for command_id, generation in gone.items():
            answer: str = ""
            then: Then = "leaves"
            if (row := rows.get(command_id)) is not None and row.generation >= generation:
                answer = endings.answer_of(row).encode()
                if row.ending == Ending.DEAD and parks_when_dead(self._app.registry, row.kind):
                    then = "parks"
            log.warning("lane.head_gone", command_id=str(command_id), ended=bool(answer))
            job_id = self._deposits.keys.job_id(command_id, generation)
            told.append(Told(command_id, generation, job_id, answer, then))
        return told

    async def _let_go(self, parked: list[UUID]) -> list[Told]:
        """Find the parked ones that are dead no more: they were dropped, and Redis was not told of it."""
        told = []
        for row in await self._rows(parked):
            if row.ending != Ending.DEAD:
                job_id = self._deposits.keys.job_id(row.command_id, row.generation)
                told.append(
                    Told(row.command_id, row.generation, job_id, "", "leaves", released_at=row.ended_at)
                )
        return told

    async def _rows(self, command_ids: list[UUID]) -> Sequence[Row[Any]]:
        table = self._app.tables.processed_commands
        async with self._app.transaction() as session:
            return (await session.execute(select(table).where(table.c.command_id.in_(command_ids)))).all()
