"""The one row in `processed_commands` that says how a command ended: the first committed is the truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, select

from producers.wire import Answer, Ending

from .driver import asyncpg_of, fetch_value
from .types import utcnow
from .upserts import insert_or_nothing, insert_or_replace, insert_unless_there

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .delivery import Delivery
    from .tables import WorkerTables

_REPLAYABLE = (Ending.REJECTED, Ending.DEAD)
_MOST_IDS = 1000


async def insert_ending(
    session: AsyncSession, tables: WorkerTables, delivery: Delivery, answer: Answer, result_limit: int
) -> bool:
    """Insert the ending of a delivery; False where the command has one already.

    The insert waits for another one of the same id that is not committed yet. A replay (a higher
    generation) goes before the `rejected` or `dead` that it is to mend.
    """
    table = tables.processed_commands
    result, summary = _kept(answer, result_limit)
    row = {
        "command_id": delivery.command_id,
        "kind": delivery.kind,
        "fingerprint": delivery.fingerprint,
        "generation": delivery.generation,
        "ending": answer.ending,
        "result": result,
        "summary": summary,
        "error": answer.error,
        "accepted_at": delivery.accepted_at,
        "began_at": delivery.began_at,
        "entity": delivery.entity,
    }
    if not delivery.generation:
        if (driver := asyncpg_of(session)) is not None:
            texts = {"result": None if result is None else answer.result_json, "summary": _text(summary)}
            row |= {**texts, "error": _text(answer.error)}
            return await fetch_value(driver, insert_unless_there, table, row) is not None
        return await insert_or_nothing(session, table, row)
    replayed = and_(table.c.ending.in_(_REPLAYABLE), table.c.generation < delivery.generation)
    return await insert_or_replace(session, table, {**row, "ended_at": utcnow()}, where=replayed)


async def find_answer(session: AsyncSession, tables: WorkerTables, delivery: Delivery) -> Answer | None:
    """Look for the ending of the command; None where it has none, or one that this replay goes before."""
    row = await _find(session, tables, delivery.command_id)
    if row is None or (row.ending in _REPLAYABLE and row.generation < delivery.generation):
        return None
    if delivery.envelope is not None and row.fingerprint not in {"", delivery.fingerprint}:
        if row.generation != delivery.generation:
            return Answer(Ending(row.ending), None, _EDITED)
        return Answer(Ending.REJECTED, None, CONFLICT)
    return answer_of(row)


def answer_of(row: Row[Any]) -> Answer:
    """Tell the ending that is recorded."""
    if row.summary is not None:
        message = _SUMMARY if row.summary else _EMPTIED
        error = {"code": "result_expired", "message": message, "summary": row.summary or None}
        return Answer(Ending(row.ending), None, error)
    return Answer(Ending(row.ending), row.result, row.error)


CONFLICT = {"code": "conflict", "message": "this command id was used before, for another command"}
_SUMMARY = "the result was too large to keep; its summary has the ids and the count"
_EMPTIED = "the result is not kept any more (WORKER_RESULT_RETENTION); see the rows themselves"
_EDITED = {"code": "result_expired", "message": "this command was edited and replayed; see its ending"}


async def _find(session: AsyncSession, tables: WorkerTables, command_id: UUID) -> Any:
    table = tables.processed_commands
    return (await session.execute(select(table).where(table.c.command_id == command_id))).one_or_none()


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _kept(answer: Answer, limit: int) -> tuple[Any, dict[str, Any] | None]:
    """Return what is kept of a result: itself, or where it is too large, its count and ids."""
    result = answer.result
    if not isinstance(result, list | dict) or len(answer.result_json) <= limit:
        return result, None
    rows = result if isinstance(result, list) else [result]
    ids = [row["id"] for row in rows if isinstance(row, dict) and "id" in row]
    return None, {"count": len(rows), "ids": ids[:_MOST_IDS]}
