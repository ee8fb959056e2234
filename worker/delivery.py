"""A command as it reaches the executor, whatever brought it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from producers.commands import Command, Registry, UnreadableCommand
from producers.commands.personal import personal_values
from producers.wire import Ending, Envelope

from . import retry, tracing
from .failure import Failure
from .tables import ENTITY_LENGTH


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a command failed for one reason, this time included, and seconds since the first."""

    count: int
    age: float


@dataclass(frozen=True, slots=True)
class Later:
    """The command has no ending yet: it is to be run again after `delay` seconds, perhaps for a `failure`.

    `away` says that the database was asked, and is away; `crashed` that the session ended under the handler.
    """

    delay: float
    failure: Failure | None = field(default=None, repr=False, compare=False)
    away: bool = False
    crashed: bool = False


Count = Callable[[str], Awaitable[Failures]]
"""Counts a failure for good and tells the sum; a run that is never told about costs nothing."""


Holds = Callable[[Sequence[str]], Awaitable[bool]]
"""Says whether a command stands in one of these lanes."""


async def _empty(lanes: Sequence[str]) -> bool:  # noqa: ARG001
    return False


UNBEGUN = {
    Ending.EXPIRED: {"code": "expired", "message": "its deadline passed before it was begun"},
    Ending.CANCELLED: {"code": "cancelled", "message": "it was aborted before it was begun"},
}
"""What the producer is told of a command that ends without being begun."""


@dataclass(slots=True)
class Delivery:
    """One delivery of one command.

    `envelope` is None where the bytes in `body` could not be read, and `problem` says why. `first` is
    false where the queue may have delivered it before. `unbegun` is how it ends without being begun; so does
    one with a `conviction`, which is dead or refused. `accepted_at` and `began_at` (this run) are by
    Redis's clock. `lanes` are those that it stands in. `revived` is the
    command, if it was made already.
    """

    command_id: UUID
    queue: str
    body: bytes = field(repr=False)
    envelope: Envelope | None
    count: Count = field(repr=False)
    problem: str = ""
    first: bool = True
    unbegun: Ending | None = None
    conviction: Failure | None = None
    accepted_at: datetime | None = None
    began_at: datetime | None = None
    lanes: Sequence[str] = ()
    holds: Holds = field(default=_empty, repr=False)
    revived: Command[Any] | None = field(default=None, repr=False)

    @property
    def kind(self) -> str:
        """The kind on the envelope, known here or not."""
        return self.envelope.kind if self.envelope else ""

    @property
    def fingerprint(self) -> str:
        """The fingerprint on the envelope."""
        return self.envelope.fingerprint if self.envelope else ""

    @property
    def generation(self) -> int:
        """How often the command was replayed from the dead letters."""
        return self.envelope.generation if self.envelope else 0

    @property
    def entity(self) -> str | None:
        """The row that it is about, as its lane has it; None where it is about several, or none."""
        return self.lanes[0][:ENTITY_LENGTH] if len(self.lanes) == 1 else None

    def command(self, registry: Registry) -> Command[Any]:
        """Make the command, if it is not made yet; raise UnreadableCommand."""
        if self.revived is not None:
            return self.revived
        if self.envelope is None:
            raise UnreadableCommand(self.problem)
        return registry.revive(self.envelope.kind, self.envelope.version, self.envelope.payload)

    def told(self, error: Exception, registry: Registry) -> Failure:
        """Say what an error means, without what it may quote of the payload and must not be shown."""
        failure = self._told(error, registry)
        tracing.failed(failure)
        return failure

    def _told(self, error: Exception, registry: Registry) -> Failure:
        kind, payload = (self.envelope.kind, self.envelope.payload) if self.envelope else ("", {})
        if (command := registry.get(kind)) is None:
            return retry.classify(error)  # what is said of these, we say ourselves
        failure = retry.classify(error, read_only=command.read_only)
        if not failure.may_quote:
            return failure
        try:
            values = personal_values(command, payload, registry)
            if self.revived is not None:  # an error quotes a date as Python has it
                values += personal_values(type(self.revived), self.revived)
            return failure.without(values)
        except Exception as worse:  # noqa: BLE001  # types and reprs of an adopter's: it is a failure all the same
            untold = f"not told: what it may quote cannot be found out ({type(worse).__name__})"
            return replace(failure, message=untold, trace=untold)
