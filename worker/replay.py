"""What a person does about a dead letter: replay the command, mended or as it was, or drop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producers.client import Producer
from producers.commands import UnreadableCommand
from producers.commands.lanes import Standing, standing
from producers.commands.personal import HIDDEN, personal_values
from producers.connection import understood
from producers.errors import CommandConflict, CommandError, Unsent
from producers.settings import QueueSettings
from producers.wire import Answer, Ending

from .body import Body
from .dead_letters import DROPPED, begin_retry, drop_letter, is_dead, read_letter
from .deposits import Deposits, Told
from .monitoring.statistics import count
from .monitoring.tally import UNKNOWN

if TYPE_CHECKING:
    from uuid import UUID

    from redis.asyncio import Redis
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from producers.commands import Command

    from .app import App


class NoSuchLetter(CommandError):
    """There is no dead letter of this command."""

    code = "no_such_letter"


class CannotReplay(CommandError):
    """The command cannot be replayed as it is."""

    code = "cannot_replay"


class NotSent(CommandError):
    """The replay did not reach Redis."""

    code = "not_sent"


async def fetch(session: AsyncSession, app: App, command_id: UUID, *, lock: bool = False) -> Row[Any]:
    """Read a letter; raise NoSuchLetter."""
    letter = await read_letter(session, app.tables, command_id, lock=lock)
    if letter is None:
        message = f"there is no dead letter of command {command_id}; see `python -m worker dead list`"
        raise NoSuchLetter(message, command_id=command_id)
    return letter


async def replay(
    app: App,
    redis: Redis,
    command_id: UUID,
    *,
    payload: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> None:
    """Send a failed command again under its own id, with `payload` in place of its own and `changes` over it.

    It is validated first. The letter says `retrying` until the ending that follows resolves it; where Redis
    is away in between, NotSent is raised, and replaying it again sends it.
    """
    async with app.sessions.begin() as session:
        letter = await fetch(session, app, command_id, lock=True)
        if letter.state not in {"rejected", "dead", "retrying"}:
            message = f"command {command_id} is {letter.state} already"
            raise CannotReplay(message, command_id=command_id)
        command = _command(app, letter, payload, changes or {})
        generation = await begin_retry(session, app.tables, letter)
        dead = await is_dead(session, app.tables, command_id)
        stands = _standing(letter.body, command, keeps=dead or not (payload or changes))
    producer = Producer(settings=_queue_of(app, letter), redis=redis)
    try:
        await producer.resend(command, command_id, generation, stands)
    except CommandConflict:
        message = f"command {command_id} is on its way already, as it was before this edit"
        raise CannotReplay(message, command_id=command_id) from None
    except Unsent as error:
        message = f"command {command_id} was not sent and stays `retrying`; retry it again ({error})"
        raise NotSent(message, command_id=command_id) from error


async def drop(app: App, redis: Redis, command_id: UUID) -> None:
    """Give a command up for good; what stands behind it goes on. Dropped once more, Redis is told again."""
    async with app.sessions.begin() as session:
        letter = await fetch(session, app, command_id, lock=True)
        deposits = Deposits(redis, _queue_of(app, letter))
        job_id = deposits.keys.job_id(command_id, letter.generation)
        if letter.state == "retrying":
            async with understood():  # a replay that was never sent is nothing to wait for
                is_droppable = not await redis.exists(f"arq:job:{job_id}")
        else:
            is_droppable = letter.state in {"rejected", "dead", "dropped"}
        if not is_droppable:
            message = f"command {command_id} is {letter.state}, so it cannot be dropped"
            raise CannotReplay(message, command_id=command_id)
        at = await drop_letter(session, app.tables, letter)
    answer = Answer(Ending.DROPPED, error=DROPPED).encode()
    async with understood():
        told = Told(command_id, letter.generation, job_id, answer, "leaves", released_at=at)
        await deposits.tell([told])
        if letter.state != "dropped":
            kind = letter.kind if letter.kind in app.registry else UNKNOWN
            await count(redis, deposits.keys, kind, Ending.DROPPED)


def _queue_of(app: App, letter: Row[Any]) -> QueueSettings:
    """Find the queue that the command came from, where its producer waits: not always the one served here.

    A replay that Redis loses is sent again by replaying it again: it waits for no disk.
    """
    return app.queue.model_copy(update={"name": letter.queue, "durability": "memory"})


def _standing(body: bytes, command: Command[Any], *, keeps: bool) -> Standing:
    """Say where a replay stands: where it stood; or if it was let go of and edited, where it belongs."""
    before = Body.known(body).lanes
    if keeps or not before:  # what was sent in no order has none now
        return Standing(before)
    now = standing(command)
    keys = tuple(name for name in before if name.startswith(":"))
    return Standing((*now.lanes, *keys), now.refs)


def editable(app: App, letter: Row[Any]) -> dict[str, Any]:
    """Give the payload to be edited, in the fields of today's code where that can read it."""
    kind, version, sent = _sent(letter)
    try:
        return app.registry.revive(kind, version, sent).to_wire()
    except UnreadableCommand:
        return sent


def _command(
    app: App, letter: Row[Any], payload: dict[str, Any] | None, changes: dict[str, Any]
) -> Command[Any]:
    kind, version, sent = _sent(letter)
    if payload is not None and kind in app.registry:
        version = app.registry[kind].version  # an edited payload is written for the code of today
    written = {**(sent if payload is None else payload), **changes}
    if (payload is not None or changes) and _holds_hidden(app, kind, written):
        message = f"command {letter.command_id} cannot be replayed: write the values anew that are {HIDDEN!r}"
        raise CannotReplay(message, command_id=letter.command_id)
    try:
        return app.registry.revive(kind, version, written)
    except UnreadableCommand as error:
        message = f"command {letter.command_id} cannot be replayed: {error}; mend it with --set or --payload"
        raise CannotReplay(message, command_id=letter.command_id) from None


def _sent(letter: Row[Any]) -> tuple[str, int, dict[str, Any]]:
    try:
        return Body.known(letter.body).sent
    except ValueError:
        message = (
            f"command {letter.command_id} cannot be replayed: nobody can read it; see `dead show`, drop it"
        )
        raise CannotReplay(message, command_id=letter.command_id) from None


def _holds_hidden(app: App, kind: str, payload: dict[str, Any]) -> bool:
    """Whether somebody took a listing for the payload: it has a word in place of what is not shown."""
    command = app.registry.get(kind)
    return command is not None and HIDDEN in personal_values(command, payload, app.registry)
