"""Commands as they reach the executor, made by hand, so that a test chooses what the queue says of them."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from producers.commands import Command
from producers.wire import Answer, Ending, Envelope
from worker import executor
from worker.app import App
from worker.delivery import Delivery, Failures, Later


def envelope_of(command: Command[Any], command_id: UUID | None = None) -> Envelope:
    """Wrap a command under an id of its own; each delivery of the envelope is the same command."""
    return Envelope.of(command.identified(command_id), command_id or uuid4())


async def outcome_of(
    app: App, envelope: Envelope, *, first: bool = False, unbegun: Ending | None = None
) -> Answer | Later:
    """Deliver once; `unbegun` is how the command ends without being begun."""
    failures: Counter[str] = Counter()

    async def count(reason: str) -> Failures:
        failures[reason] += 1
        return Failures(failures[reason], 0)

    body = envelope.encode().encode()
    delivery = Delivery(envelope.id, app.queue.name, body, envelope, count, first=first, unbegun=unbegun)
    return await executor.execute(app, delivery)


async def answer_of(app: App, envelope: Envelope, *, first: bool = False) -> Answer:
    """Deliver once; it has to come to an answer."""
    outcome = await outcome_of(app, envelope, first=first)
    assert isinstance(outcome, Answer)
    return outcome
