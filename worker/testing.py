"""Run one command through the real executor, without Redis: for the tests of your own domain."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from producers.commands import Command
from producers.wire import Answer, Envelope, command_uuid

from . import executor
from .app import App
from .delivery import Delivery, Failures, Later

R = TypeVar("R")


async def execute(app: App, command: Command[R], *, command_id: UUID | str | None = None) -> R:
    """Carry `command` out in one transaction of `app`'s and return its result, or raise its error.

    Database and tables are real: `python -m worker migrate` goes before. What a worker would run again
    later is raised as RuntimeError. No connection stays open: the next test may have another event loop.
    """
    given = None if command_id is None else command_uuid(command_id)
    command, used = command.identified(given), given or uuid7()
    try:
        answer = await deliver(app, Envelope.of(command, used))
    finally:
        await app.close()
    if isinstance(answer, Later):
        why = f"of this:\n{answer.failure.trace}" if answer.failure else "of what the log says"
        raise RuntimeError(f"{command.kind} would be run again, because {why}")  # noqa: TRY004
    return result_of(answer, command, used)


async def deliver(app: App, envelope: Envelope, *, first: bool = False) -> Answer | Later:
    """Deliver an envelope to the executor; failures are counted for this delivery alone."""
    counts: dict[str, int] = {}

    async def count(reason: str) -> Failures:
        counts[reason] = counts.get(reason, 0) + 1
        return Failures(counts[reason], 0)

    body = envelope.encode().encode()
    return await executor.execute(
        app, Delivery(envelope.id, app.queue.name, body, envelope, count, first=first)
    )


def result_of(answer: Answer, command: Command[R], command_id: UUID) -> R:
    """Parse the result, or raise the error that the answer stands for."""
    answer.raise_error(command_id)
    return command.parse_result(answer.result)
