"""A row without its parent: where the command that makes the parent is on its way, it is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, select

from producers.commands import Command
from producers.commands.lanes import Reference, referred

from . import retry

if TYPE_CHECKING:
    from .app import App
    from .delivery import Delivery

_PATIENCE = 60.0
_PAUSES = (0.0, *retry.PARENT_PAUSES)
"""Once at once: the parent may have come between the attempt and the look."""


async def pause(app: App, delivery: Delivery, command: Command[Any] | None) -> tuple[float | None, int]:
    """Seconds until a command is tried again that lacks a row it refers to, and how many tries it has had.

    The seconds are None where it is to be rejected. While a command stands in the lane of a missing row, it
    is waited for, a minute at most; that counts as no try. Else there are a few tries, within two seconds.
    """
    missing = () if command is None else await _missing(app, command)
    lanes = [name for name in missing if name not in delivery.lanes]
    if await delivery.holds(lanes):
        waits = await delivery.count("waits_for_parent")
        if waits.age < _PATIENCE:
            return retry.backoff(waits.count, first=0.2, cap=2.0) + 0.05, 0
    tries = (await delivery.count("parent")).count
    return _PAUSES[tries - 1] if tries <= len(_PAUSES) else None, tries


async def _missing(app: App, command: Command[Any]) -> Sequence[str]:
    """Name the lanes of the rows that are not there, or may not be: not all references tell their table."""
    refs = referred(command)
    parents = _parents(app)
    missing = []
    async with app.transaction() as session:
        for name, reference in refs.items():
            column = parents.get(reference.field)
            if column is None or not await _is_there(session, column, reference):
                missing.append(name)
    return missing


async def _is_there(session: Any, column: Column[Any], reference: Reference) -> bool:
    found = await session.execute(select(column).where(column == reference.key))
    return found.first() is not None


def _parents(app: App) -> dict[str, Column[Any]]:
    """Find the column that a field refers to: that of the foreign key on a column of the same name."""
    tables = app.metadata.tables.values() if app.metadata is not None else ()
    found: dict[str, set[Column[Any]]] = {}
    for table in tables:
        for key in table.foreign_keys:
            found.setdefault(key.parent.key, set()).add(key.column)
    return {name: columns.pop() for name, columns in found.items() if len(columns) == 1}
