"""Commands that were rejected or given up, kept with all it takes to read, mend and replay them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import func, select, union_all, update

from producers.wire import Answer, Ending

from .endings import CONFLICT, insert_ending
from .failure import Cause, Failure
from .tables import DEAD_LETTER_STATES as STATES
from .types import utcnow
from .upserts import insert_or_replace

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .delivery import Delivery
    from .tables import WorkerTables

WAITING = ("rejected", "dead", "retrying")
"""The states of letters that wait for a person, or for what a person began."""
DROPPED = {"code": "dropped", "message": "it was dropped from the dead letters"}
"""What the producer of a dropped command is told."""
_MOST = 100_000


async def write_letter(
    session: AsyncSession,
    tables: WorkerTables,
    delivery: Delivery,
    failure: Failure,
    *,
    ending: Ending,
    attempts: int,
) -> None:
    """Write the letter of a command that just ended, over the one of the time before if it was a replay."""
    row = {
        "command_id": delivery.command_id,
        "queue": delivery.queue,
        "kind": delivery.kind,
        "state": ending,
        "body": delivery.body,
        "error_class": failure.error_class,
        "sqlstate": failure.sqlstate,
        "code": failure.code,
        "field": failure.field,
        "message": failure.message,
        "traceback": failure.trace,
        "place": failure.place,
        "attempts": attempts,
        "generation": delivery.generation,
        "accepted_at": delivery.accepted_at,
        "died_at": utcnow(),
    }
    await insert_or_replace(session, tables.dead_letters, row)


async def write_conflict(session: AsyncSession, tables: WorkerTables, delivery: Delivery) -> None:
    """Record a command whose id another one had used before: rejected, under an id of its own.

    That id derives from both, so however often it is delivered there is one record of it.
    """
    own = replace(delivery, command_id=uuid5(delivery.command_id, delivery.fingerprint))
    answer = Answer(Ending.REJECTED, error=CONFLICT)
    if await insert_ending(session, tables, own, answer, 0):
        failure = Failure(Cause.REFUSED, CONFLICT["code"], CONFLICT["message"], "CommandConflict")
        await write_letter(session, tables, own, failure, ending=Ending.REJECTED, attempts=0)


async def resolve_letter(session: AsyncSession, tables: WorkerTables, command_id: UUID) -> None:
    """Close the letter of a replay, in the transaction of the ending that it led to."""
    table = tables.dead_letters
    await session.execute(update(table).where(table.c.command_id == command_id).values(state="resolved"))


async def count_letters(session: AsyncSession, tables: WorkerTables) -> dict[str, int]:
    """Count the letters by state: of each state no more than a hundred thousand."""
    table = tables.dead_letters
    some = [select(table.c.state).where(table.c.state == one).limit(_MOST).subquery() for one in STATES]
    counts = [select(func.max(one.c.state), func.count()).select_from(one) for one in some]
    rows = (await session.execute(union_all(*counts))).all()
    return {state: count for state, count in rows if count}


async def read_letter(
    session: AsyncSession, tables: WorkerTables, command_id: UUID, *, lock: bool = False
) -> Row[Any] | None:
    """Read one letter whole; `lock` keeps others from changing it until the transaction ends."""
    table = tables.dead_letters
    statement = select(table).where(table.c.command_id == command_id)
    return (await session.execute(statement.with_for_update() if lock else statement)).one_or_none()


async def begin_retry(session: AsyncSession, tables: WorkerTables, letter: Row[Any]) -> int:
    """Mark a letter as being replayed; return the generation to send it with."""
    table = tables.dead_letters
    # One that is `retrying` already is sent again as it was: the replay before may not have reached Redis.
    generation: int = letter.generation if letter.state == "retrying" else letter.generation + 1
    values = {"state": "retrying", "generation": generation}
    await session.execute(update(table).where(table.c.command_id == letter.command_id).values(values))
    return generation


async def is_dead(session: AsyncSession, tables: WorkerTables, command_id: UUID) -> bool:
    """Whether a command has ended as `dead`, and not as `rejected`."""
    table = tables.processed_commands
    ending = select(table.c.ending).where(table.c.command_id == command_id)
    return (await session.execute(ending)).scalar_one_or_none() == Ending.DEAD


async def drop_letter(session: AsyncSession, tables: WorkerTables, letter: Row[Any]) -> datetime | None:
    """Give a letter up for good: its command ends as `dropped`. Return when it did: perhaps before."""
    processed, letters = tables.processed_commands, tables.dead_letters
    await session.execute(
        update(letters).where(letters.c.command_id == letter.command_id).values(state="dropped")
    )
    mine = processed.c.command_id == letter.command_id
    ended = update(processed).where(mine, processed.c.ending != Ending.DROPPED)
    await session.execute(ended.values(ending=Ending.DROPPED, error=DROPPED, ended_at=utcnow()))
    return (await session.execute(select(processed.c.ended_at).where(mine))).scalar_one_or_none()
