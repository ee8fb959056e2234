"""All that is known of one command, wherever it is: in Redis, in the database, or in both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from .. import history
from ..body import Body
from ..dead_letters import read_letter
from ..why import Place, Why

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Result, Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .board import Board


class Event(NamedTuple):
    """One line of the timeline; `tone` is "", "good", "bad" or "now"."""

    at: datetime | None
    what: str
    told: str = ""
    tone: str = ""


class Rows(NamedTuple):
    """What the database knows of a command: its ending, its dead letter, its row of the outbox."""

    ending: Row[Any] | None
    letter: Row[Any] | None
    written: Row[Any] | None


@dataclass
class Queued:
    """What Redis knows of a command; `body` is its job as it came, `answer` what its producer may fetch."""

    place: Place
    body: bytes = b""
    answer: dict[str, Any] | None = None
    attempts: list[history.Attempt] = field(default_factory=list)

    @property
    def accepted_at(self) -> datetime | None:
        """When it was accepted, by its stamp."""
        accepted = Body.known(self.body).stamp.get("accepted")
        return None if accepted is None else datetime.fromtimestamp(accepted / 1000, UTC)


@dataclass
class Record:
    """Both together; `rows` or `queued` is None where it could not be asked."""

    command_id: UUID
    rows: Rows | None
    queued: Queued | None

    @property
    def is_known(self) -> bool:
        """Whether there is anything to show."""
        in_redis = self.queued and (self.queued.body or self.queued.answer or self.queued.attempts)
        return bool(in_redis) or bool(self.rows and any(row is not None for row in self.rows))

    @property
    def kind(self) -> str:
        """Its kind; "" where nobody knows."""
        of_rows = (self.rows.ending, self.rows.letter) if self.rows else ()
        kinds = [row.kind for row in of_rows if row is not None]
        return next(filter(None, [*kinds, self.queued.place.kind if self.queued else ""]), "")

    @property
    def ending(self) -> str:
        """How it ended; "" where it has not, as far as is known."""
        if self.rows and self.rows.ending is not None:
            return str(self.rows.ending.ending)
        return str(self.queued.answer.get("ending", "")) if self.queued and self.queued.answer else ""

    @property
    def state(self) -> str:
        """One word for what it does now: its ending, or a state of `why.Place`."""
        if self.queued and self.queued.place.state not in {"gone", "dead"}:
            return self.queued.place.state
        return self.ending or (self.queued.place.state if self.queued else "unknown")

    @property
    def body(self) -> Body:
        """The command as it came; empty where it is not kept (any more) or cannot be read."""
        letter = self.rows.letter if self.rows else None
        return Body.known((self.queued.body if self.queued else b"") or (letter.body if letter else b""))

    @property
    def payload(self) -> Any:
        """The payload as it came; None where it is not kept (any more) or cannot be read."""
        return self.body.payload

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that it stands in, or stood in when it failed."""
        return self.body.lanes

    @property
    def result(self) -> Any:
        """The result, or its summary; None where there is none (any more)."""
        if self.rows and self.rows.ending is not None:
            return self.rows.ending.result or self.rows.ending.summary
        return self.queued.answer.get("result") if self.queued and self.queued.answer else None

    @property
    def error(self) -> dict[str, Any] | None:
        """What its producer is told of it."""
        if self.rows and self.rows.ending is not None:
            error: dict[str, Any] | None = self.rows.ending.error
            return error
        return self.queued.answer.get("error") if self.queued and self.queued.answer else None

    def timeline(self) -> list[Event]:
        """Tell its story, in the order of time; what has no time comes last."""
        events = [*self._from_rows(), *self._from_redis()]
        return sorted(
            events, key=lambda event: (event.at is None, event.at or datetime.min.replace(tzinfo=UTC))
        )

    def _from_rows(self) -> list[Event]:
        ending, letter, written = self.rows or Rows(None, None, None)
        events = []
        if written is not None:
            events.append(Event(written.written_at, "written to the outbox"))
            if written.published_at is not None:
                events.append(Event(written.published_at, "published to Redis"))
        accepted = next(
            (row.accepted_at for row in (ending, letter) if row is not None and row.accepted_at), None
        )
        if accepted is not None:
            events.append(Event(accepted, "accepted"))
        if ending is not None:
            if ending.began_at is not None:
                events.append(Event(ending.began_at, "begun", "the run that ended it"))
            events.append(Event(ending.ended_at, ending.ending, _told(ending), _tone(ending.ending)))
        if letter is not None and letter.state in {"retrying", "resolved"}:
            again = {"retrying": "a person has it tried again", "resolved": "a replay has ended it"}
            events.append(Event(None, letter.state, again[letter.state]))
        return events

    def _from_redis(self) -> list[Event]:
        if self.queued is None:
            return []
        events = [_attempt(attempt) for attempt in self.queued.attempts]
        has_row = self.rows is not None and self.rows.ending is not None
        if self.queued.accepted_at is not None and not has_row:
            events.append(Event(self.queued.accepted_at, "accepted"))
        place = self.queued.place
        now = {
            "running": f"for the {place.runs}. time",
            "due": "it waits for a worker",
            "later": f"it is tried in {place.seconds:.0f} s",
            "waiting": "others stand before it",
        }
        if place.state in now:
            events.append(Event(None, place.state, now[place.state], "now"))
        elif self.queued.answer and not has_row:
            events.append(Event(None, self.ending, "a read leaves no row", _tone(self.ending)))
        return events


async def read_rows(session: AsyncSession, board: Board, command_id: UUID) -> Rows:
    """Read what the database knows, by primary keys and an index."""
    tables = board.app.tables
    processed, outbox = tables.processed_commands, tables.outbox
    ending = select(processed).where(processed.c.command_id == command_id)
    written = select(outbox.c.written_at, outbox.c.published_at).where(outbox.c.command_id == command_id)
    return Rows(
        _row(await session.execute(ending)),
        await read_letter(session, tables, command_id),
        _row(await session.execute(written.limit(1))),
    )


async def read_queued(board: Board, command_id: UUID) -> Queued:
    """Read what Redis knows."""
    redis, keys = board.redis, board.keys
    generation: Any = redis.hget(keys.mark(command_id), "generation")
    job = keys.job(command_id, int(await generation or 0))
    async with board.app.sessions() as session:  # which connects only to tell of a dead one
        place = await Why(board.app, redis, session).place(command_id)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.get(job)
        pipe.get(keys.result(command_id))
        body, answer = await pipe.execute()
    told = json.loads(answer) if answer else None
    return Queued(place, body or b"", told, await history.attempts(redis, keys, command_id))


def _row(result: Result[Any]) -> Row[Any] | None:
    return result.one_or_none()


def _attempt(attempt: history.Attempt) -> Event:
    about = ", ".join(
        filter(None, (attempt.error_class, attempt.sqlstate and f"SQLSTATE {attempt.sqlstate}"))
    )
    told = f"{attempt.code} ({about})" if about else attempt.code
    told += f" in {attempt.place}" if attempt.place else ""
    told += f"; again after {attempt.delay:.1f} s" if attempt.delay is not None else ""
    return Event(attempt.moment, f"attempt failed: {attempt.cause}", told, "bad")


def _told(ending: Row[Any]) -> str:
    parts = [str(ending.error["code"])] if ending.error and "code" in ending.error else []
    if ending.began_at is not None and ending.accepted_at is not None:
        parts.append(f"waited {max(0.0, (ending.began_at - ending.accepted_at).total_seconds()):.3f} s")
    if ending.began_at is not None:
        parts.append(f"ran {max(0.0, (ending.ended_at - ending.began_at).total_seconds()):.3f} s")
    return ", ".join(parts)


def _tone(ending: str) -> str:
    return {"applied": "good", "answered": "good", "rejected": "bad", "dead": "bad"}.get(ending, "")
