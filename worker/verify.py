"""Was anything lost? What was sent, by a ledger, and what is in the outbox, against what there is."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

from producers.ledger import ACCEPTED, REFUSED, SENT, read
from producers.wire import HELD, Keys

from .types import utcnow

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from .app import App

_CHUNK = 2000
_RANKS = {SENT: 0, REFUSED: 1, ACCEPTED: 2}


@dataclass
class Verified:
    """What became of the writes that were sent: `accepted`, and `unanswered`, of which nobody knows.

    The keys are endings, "queued", "running", "waiting" (in lanes), "outbox", "lost", for those that are
    unanswered "none", and "pruned" for what is so old that its ending may be.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    outbox: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    @property
    def lost(self) -> int:
        """How many writes were accepted, and are nowhere."""
        return self.accepted["lost"]


async def verify(
    app: App, redis: Redis, ledgers: Sequence[Path], lost: Callable[[UUID], None] = lambda _: None
) -> Verified:
    """Compare; `lost` is told of each write that is. Memory does not grow with what there is to compare."""
    look, found = _Look(app, redis), Verified()
    with closing(sqlite3.connect("")) as paper:  # a file of its own, which nobody else sees
        _take_down(paper, ledgers)
        horizon = await look.horizon()
        for answer, sent in _taken_down(paper):
            if answer == _RANKS[REFUSED]:
                found.refused += len(sent)
                continue
            counts = found.accepted if answer == _RANKS[ACCEPTED] else found.unanswered
            nowhere = "lost" if answer == _RANKS[ACCEPTED] else "none"
            for command_id, where in (await look.at([*sent])).items():
                place = where or ("pruned" if sent[command_id] < horizon else nowhere)
                counts[place] += 1
                if place == "lost":
                    lost(command_id)
    after = 0
    while rows := await look.outbox(after):
        found.outbox.update((await look.at([command_id for _, command_id in rows])).values())
        after = rows[-1][0]
    return found


def _take_down(paper: sqlite3.Connection, ledgers: Iterable[Path]) -> None:
    """Put the ids in order, each with the best answer that it got, and when it got the last."""
    paper.execute("CREATE TABLE sent (id BLOB PRIMARY KEY, answer INTEGER, at REAL) WITHOUT ROWID")
    adding = (
        "INSERT INTO sent VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " answer = max(answer, excluded.answer), at = max(at, excluded.at)"
    )
    for ledger in ledgers:
        for lines in read(ledger):
            paper.executemany(adding, [(line.command_id.bytes, _RANKS[line.word], line.at) for line in lines])


def _taken_down(paper: sqlite3.Connection) -> Iterator[tuple[int, dict[UUID, float]]]:
    for answer in _RANKS.values():
        cursor = paper.execute("SELECT id, at FROM sent WHERE answer = ?", (answer,))
        while rows := cursor.fetchmany(_CHUNK):
            yield answer, {UUID(bytes=value): at for value, at in rows}


class _Look:
    """Where commands are: in the order in which they move, so that none slips by."""

    def __init__(self, app: App, redis: Redis) -> None:
        self._app, self._redis, self._keys = app, redis, Keys(app.queue.name)

    async def horizon(self) -> float:
        """Say when the oldest endings are of that are kept for certain, in seconds since 1970."""
        async with self._app.transaction(read_only=True) as session:
            now = (await session.execute(select(utcnow()))).scalar_one()
        return float(now.timestamp() - self._app.options.retention)

    async def at(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Say where each is, "" for nowhere."""
        where = dict.fromkeys(ids, "")
        for look in (self._endings, self._queued, self._written, self._endings):
            missing = [command_id for command_id, place in where.items() if not place]
            if missing:
                where |= await look(missing)
        return where

    async def outbox(self, after: int) -> list[tuple[int, UUID]]:
        """Read the next rows of the outbox."""
        table = self._app.tables.outbox
        rows = select(table.c.id, table.c.command_id).where(table.c.queue == self._keys.queue)
        async with self._app.transaction(read_only=True) as session:
            found = await session.execute(rows.where(table.c.id > after).order_by(table.c.id).limit(_CHUNK))
            return [(number, command_id) for number, command_id in found]

    async def _endings(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        table = self._app.tables.processed_commands
        ended = select(table.c.command_id, table.c.ending).where(table.c.command_id.in_(ids))
        async with self._app.transaction(read_only=True) as session:
            return dict((await session.execute(ended)).all())

    async def _written(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Rows that a relay publishes, or publishes again: Redis does not know of them."""
        table = self._app.tables.outbox
        rows = select(table.c.command_id).where(table.c.command_id.in_(ids))
        async with self._app.transaction(read_only=True) as session:
            return dict.fromkeys((await session.execute(rows)).scalars(), "outbox")

    async def _queued(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for command_id in ids:
                pipe.hget(self._keys.mark(command_id), "generation")
            generations = await pipe.execute()
            jobs = [
                self._keys.job_id(command_id, int(generation or 0))
                for command_id, generation in zip(ids, generations, strict=True)
            ]
            for job_id in jobs:
                pipe.exists(f"arq:job:{job_id}")
                pipe.zscore(self._keys.queue, job_id)
                pipe.exists(f"arq:in-progress:{job_id}")
            said = await pipe.execute()
        found = {}
        for place, command_id in enumerate(ids):
            is_there, score, is_running = said[3 * place : 3 * place + 3]
            if is_there and score is not None:
                found[command_id] = "running" if is_running else "waiting" if score >= HELD else "queued"
        return found
