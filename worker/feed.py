"""The feed: what was changed, for those who want to hear of it (WORKER_FEED).

A row for each row that a command has changed, in the transaction of the change: a relay publishes it to a
stream of Redis. Its number is drawn while the change holds its rows: those of one row are in the order of
their commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, insert, select

from producers.commands import Atomic, Imported
from producers.commands.lanes import lane, standing

from .publishing import PublishedRows
from .types import utcnow

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession

    from producers.commands import Command

    from .tables import WorkerTables

_KEPT = timedelta(hours=1)
"""So long a row stays after it was published: a Redis that lost something is given it again."""


class FeedRows(PublishedRows):
    """The changes by commands of one queue."""

    def __init__(self, tables: WorkerTables, queue: str) -> None:
        super().__init__(tables.feed, queue)

    async def write(
        self, session: AsyncSession, command_id: UUID, command: Command[Any], result: object
    ) -> None:
        """Write what a command has changed; `result` is what came of it, as JSON."""
        changed = [*_changed(command, result)]
        about = {"queue": self._queue, "command_id": command_id}
        if changed:
            await session.execute(insert(self._table), [{**about, **row._asdict()} for row in changed])

    async def forget(self, session: AsyncSession, most: int) -> None:
        """Delete some rows that were published long ago."""
        at, now = self._table.c.published_at, (await session.execute(select(utcnow()))).scalar_one()
        old = select(self._table.c.id).where(self._mine, at < now - _KEPT).order_by(at).limit(most)
        ids = (await session.execute(old)).scalars().all()
        if ids:
            await session.execute(delete(self._table).where(self._table.c.id.in_(ids)))


class _Changed(NamedTuple):
    kind: str
    entity: str
    key: str
    version: int | None


def _changed(command: Command[Any], result: object) -> Iterator[_Changed]:
    """Name the rows that a command has changed: those that it names by their keys, or that it returns.

    Of an import those that were written; of an Atomic those of each part. Where neither tells, as by a
    condition, it is one row without a key. Of a result that says that nothing was done, it is none.
    """
    if isinstance(command, Atomic) and isinstance(result, list):
        for part, came in zip(command.commands, result, strict=True):
            yield from _changed(part, came)
        return
    imported = Imported.model_validate(result) if command.returns() is Imported else None
    if getattr(command, "dry_run", False) or _is_nothing(command, result, imported):
        return
    entity = command.kind.partition(".")[0]
    named = [name for name in standing(command).lanes if not name.startswith(":")]
    returned = {lane(entity, key): version for key, version in _versions(result)}
    own = {name for name in named if name.startswith(f"{entity}:")}
    if imported is not None:
        left_out = {lane(entity, key) for key in _left_out(command, imported) if key is not None}
    elif isinstance(result, list):
        left_out = own - {*returned}
    else:
        left_out = set()
        if own and not own & {*returned}:
            returned = {}  # it returns something else
    names = dict.fromkeys([*(name for name in named if name not in left_out), *returned])
    for name in names or [f"{entity}:"]:
        of, _, key = name.partition(":")
        yield _Changed(command.kind, of, key, returned.get(name))


def _is_nothing(command: Command[Any], result: object, imported: Imported | None) -> bool:
    """Whether a result says that nothing was done: False, 0, no rows, None where it could be something."""
    if imported is not None:
        return not imported.written
    if isinstance(result, list):
        return not any(result)
    return result in (False, 0) or (result is None and command.returns() not in (None, type(None), Any))


def _left_out(command: Any, imported: Imported) -> Iterator[tuple[Any, ...] | None]:
    """Give the keys of the rows that an import has not written."""
    for place in (*imported.duplicates, *(place for one in imported.rejected for place in one.rows)):
        yield command.rows[place].lane_key()


def _versions(result: object) -> Iterator[tuple[str, int | None]]:
    """Give the key and version of each row in a result."""
    for row in result if isinstance(result, list) else [result]:
        if isinstance(row, Mapping) and "id" in row:
            version = row.get("version")
            yield str(row["id"]), version if isinstance(version, int) else None
