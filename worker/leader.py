"""Which process of a queue publishes its outbox, and prunes: a lease in `relays`, by the database's clock."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from .types import utcnow
from .upserts import changed, insert_or_nothing

if TYPE_CHECKING:
    from .app import App

_LEASE, _RENEWED_EVERY = 6.0, 2.0


class Leader:
    """This process, as one that may lead."""

    def __init__(self, app: App) -> None:
        self._app, self._table, self._queue = app, app.tables.relays, app.queue.name
        self._me = os.urandom(8).hex()
        self.is_leading, self._asked_at = False, 0.0

    async def leads(self) -> bool:
        """Renew the lease, or take it where it is free; the database is asked every two seconds."""
        if time.monotonic() - self._asked_at < _RENEWED_EVERY:
            return self.is_leading
        table, queue, now = self._table, self._queue, utcnow()
        async with self._app.transaction() as session:
            row = (await session.execute(select(table, now).where(table.c.queue == queue))).one_or_none()
            if row is None:
                self.is_leading = await insert_or_nothing(session, table, {"queue": queue, "owner": self._me})
            elif row.owner not in {"", self._me} and (row[-1] - row.seen_at).total_seconds() < _LEASE:
                self.is_leading = False
            else:
                as_seen = (table.c.queue == queue, table.c.owner == row.owner, table.c.seen_at == row.seen_at)
                taking = update(table).where(*as_seen).values(owner=self._me, seen_at=now)
                self.is_leading = await changed(session, taking)
        self._asked_at = time.monotonic()
        return self.is_leading

    async def resign(self) -> None:
        """Let another process lead at once."""
        if self.is_leading:
            table = self._table
            with suppress(Exception):  # its lease ends by itself
                async with self._app.transaction() as session:
                    await session.execute(update(table).where(table.c.owner == self._me).values(owner=""))
