"""One command on its way to the queue: what the enqueue script is told about it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from .commands import Command
from .commands.lanes import NOWHERE, Standing, standing
from .errors import PayloadTooLarge
from .signing import Signing
from .wire import END_OF_TIME, Envelope, command_uuid, compact

R = TypeVar("R")
_NOW = "+0"

Moment = float | timedelta | datetime
"""Seconds from now, or a time."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A command with its id and envelope.

    `due` and `deadline` are as the script takes them, `trace` as `tracing.carry` writes it.
    """

    command: Command[Any] | type[Command[Any]]
    command_id: UUID
    envelope: str
    fingerprint: str
    generation: int = 0
    due: str = _NOW
    deadline: str = ""
    standing: Standing = NOWHERE
    trace: str = ""

    @classmethod
    def of(
        cls,
        command: Command[Any],
        given: UUID | str | None,
        *,
        limit: int,
        ordering_key: str | None = None,
        ordered: bool = True,
    ) -> Self:
        """Set the command's ids and wrap it; raise PayloadTooLarge beyond `limit` bytes."""
        command_id = uuid7() if given is None else command_uuid(given)
        identified = command.identified(None if given is None else command_id)
        stands = standing(identified, ordering_key) if ordered else NOWHERE
        sending = cls.again(identified, command_id, 0, stands)
        sending.check(limit)
        return sending

    @classmethod
    def wired(cls, command: type[Command[Any]], envelope: Envelope, *, limit: int, stands: Standing) -> Self:
        """Take an envelope as it is; raise PayloadTooLarge beyond `limit` bytes."""
        sending = cls(command, envelope.id, envelope.encode(), envelope.fingerprint, standing=stands)
        sending.check(limit)
        return sending

    def check(self, limit: int) -> None:
        """Raise PayloadTooLarge where the envelope is larger than `limit` bytes."""
        size = len(self.envelope.encode())
        if size > limit:
            message = f"the command is {size} bytes; QUEUE_PAYLOAD_LIMIT is {limit}"
            raise PayloadTooLarge(message, command_id=self.command_id)

    @classmethod
    def again(cls, command: Command[Any], command_id: UUID, generation: int, stands: Standing) -> Self:
        """Wrap a command that has its ids."""
        envelope = Envelope.of(command, command_id, generation)
        return cls(
            command,
            command_id,
            envelope.encode(),
            envelope.fingerprint,
            generation=generation,
            standing=stands,
        )

    def at(self, *, delay: float | timedelta | None, at: datetime | None, deadline: Moment | None) -> Self:
        """Say when it is due and when it is too late; raise ValueError where that makes no sense."""
        if delay is None and at is None and deadline is None:
            return self
        if delay is not None and at is not None:
            message = "give delay or at, not both"
            raise ValueError(message)
        due = moment(delay or 0, "delay") if at is None else moment(at, "at")
        return replace(self, due=due, deadline="" if deadline is None else moment(deadline, "deadline"))

    def written(self) -> str:
        """Write it down, but for its id, for `read`."""
        trace = [self.trace] if self.trace else []
        return json.dumps([self.envelope, self.fingerprint, self.due, self.deadline, *self.standing, *trace])

    @classmethod
    def read(cls, command_id: UUID, text: str, written_at: datetime) -> Self:
        """Read what `written` wrote; times from now are from when it was written. Raise ValueError."""
        envelope, fingerprint, due, deadline, lanes, refs, trace = _parts(text)
        if due != _NOW:
            due = _since(written_at, due)
        late, stands = _since(written_at, deadline), Standing(tuple(lanes), tuple(refs))
        return cls(Command, command_id, envelope, fingerprint, 0, due, late, stands, trace)

    def arguments(self, signing: Signing | None = None) -> list[str]:
        """List its arguments of the script, signed where there is a key."""
        times = f"{self.due} {self.deadline}" if self.deadline else self.due
        lanes, refs = self.standing
        stamp = f',"lanes":{compact(lanes)}' if lanes else ""
        if refs and (self.due != _NOW or signing is not None):  # its worker will need them
            stamp += f',"refs":{compact(refs)}'
        if self.trace:
            stamp += f',"trace":{compact(self.trace)}'
        if signing is not None:
            stamp = signing.signed(self.envelope, times, stamp)
        about = [str(self.command_id), self.envelope, self.fingerprint, str(self.generation), times, stamp]
        return [*about, "\0".join(lanes), "\0".join(refs)]


def with_ids(
    commands: Iterable[Command[R]], command_ids: Iterable[UUID | str] | None
) -> Iterator[tuple[Command[R], UUID | str | None]]:
    """Put each command with the id that it was given; raise ValueError where there are not as many."""
    if command_ids is None:
        return ((command, None) for command in commands)
    return zip(commands, command_ids, strict=True)


def _parts(text: str) -> tuple[str, str, str, str, list[str], list[str], str]:
    match json.loads(text):
        case [str(envelope), str(fingerprint), str(due), str(deadline), list(lanes), list(refs), *more]:
            if len(more) <= 1 and all(isinstance(trace, str) for trace in more):
                return envelope, fingerprint, due, deadline, lanes, refs, "".join(more)
    message = "not what this code writes; newer code may have written it"
    raise ValueError(message)


def _since(start: datetime, time: str) -> str:
    return str(round(start.timestamp() * 1000) + int(time)) if time.startswith("+") else time


def moment(given: Moment, name: str) -> str:
    """Write a time for the script: "+ms" from now, or "ms" since 1970."""
    match given:
        case datetime():
            if given.tzinfo is None:
                message = f"{name} has no time zone; use datetime.now(UTC) or .astimezone()"
                raise ValueError(message)
            return str(_known(round(given.timestamp() * 1000), name))
        case timedelta():
            return moment(given.total_seconds(), name)
        case int() | float() if 0 <= given < math.inf:
            _known(round((time.time() + given) * 1000), name)
            return f"+{round(given * 1000)}"
        case _:
            message = f"{name} must be a number of seconds (0 or more), a timedelta or an aware datetime"
            raise ValueError(message)


def _known(ms: int, name: str) -> int:
    """Return a time, in ms since 1970, if a worker's calendar has it; raise ValueError."""
    if not 0 <= ms <= END_OF_TIME:
        message = f"{name} must lie between the years 1970 and 9999; leave it out for none"
        raise ValueError(message)
    return ms
