"""What a person does about a dead letter: replay the command, mended or as it was, or drop it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from producers.client import Producer
from producers.commands import UnreadableCommand
from producers.commands.registry import explain
from producers.errors import CommandError
from producers.wire import Answer, Ending, Keys

from .dead_letters import begin_retry, drop_letter, read_letter

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

    It is validated first. The letter says `retrying` until the ending that follows resolves it; if Redis
    is away in between, replay it again.
    """
    async with app.sessions.begin() as session:
        letter = await fetch(session, app, command_id, lock=True)
        if letter.state not in {"rejected", "dead", "retrying"}:
            message = f"command {command_id} is {letter.state} already"
            raise CannotReplay(message, command_id=command_id)
        command = _command(app, letter, payload, changes or {})
        generation = await begin_retry(session, app.tables, letter)
    await Producer(settings=app.queue, redis=redis).resend(command, command_id, generation)


async def drop(app: App, redis: Redis, command_id: UUID) -> None:
    """Give a command up for good."""
    async with app.sessions.begin() as session:
        letter = await fetch(session, app, command_id, lock=True)
        if letter.state not in {"rejected", "dead"}:
            message = f"command {command_id} is {letter.state}, so it cannot be dropped"
            raise CannotReplay(message, command_id=command_id)
        await drop_letter(session, app.tables, letter)
    answer = Answer(Ending.DROPPED, error={"code": "dropped", "message": "it was dropped from the dead letters"})
    ttl = round(app.queue.result_ttl * 1000)
    await redis.set(Keys(app.queue.name).result(command_id), answer.encode(), px=ttl)


def payload_of(body: bytes) -> Any:
    """The payload of a command as it came; None where it cannot be read."""
    try:
        return json.loads(body)["a"][0]["payload"]
    except (ValueError, LookupError, TypeError):
        return None


def _command(app: App, letter: Row[Any], payload: dict[str, Any] | None, changes: dict[str, Any]) -> Command[Any]:
    kind, version, sent = _read(letter)
    if payload is not None and kind in app.registry:
        version = app.registry[kind].version  # an edited payload is written for the code of today
    try:
        return app.registry.revive(kind, version, {**(sent if payload is None else payload), **changes})
    except (UnreadableCommand, ValidationError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else str(error)
        message = f"command {letter.command_id} cannot be replayed: {reason}; mend it with --set or --payload"
        raise CannotReplay(message, command_id=letter.command_id) from None


def _read(letter: Row[Any]) -> tuple[str, int, dict[str, Any]]:
    try:
        envelope = json.loads(letter.body)["a"][0]
        return str(envelope["kind"]), int(envelope["version"]), dict(envelope["payload"])
    except (ValueError, LookupError, TypeError):
        message = f"command {letter.command_id} never was a command that could be read; see `dead show`, then drop it"
        raise CannotReplay(message, command_id=letter.command_id) from None
