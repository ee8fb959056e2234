"""What travels: the names of keys, the envelope of a command, and the answer to it. JSON, never pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from pydantic_core import PydanticSerializationError, to_json

from .errors import (
    CommandConflict,
    CommandDead,
    CommandError,
    CommandParked,
    CommandRejected,
    CommandSuperseded,
    MultipleFound,
    NotFound,
    ResultExpired,
)

if TYPE_CHECKING:
    from .commands import Command

FORMAT = 1
"""The version of the envelope itself."""

END_OF_TIME = 253_402_300_799_999
"""The last ms since 1970 that a datetime holds: past it arq itself would fail, and the worker with it."""

HELD = 1e14
"""Jobs with this score or a higher one wait for somebody to make them due: the year 5138, in milliseconds."""

_NAMESPACE = UUID("5a3b1f0e-8f2c-5d0a-9c61-7f1c1a6f6b5d")
"""Makes a UUID of a command id that is any other text."""


class Ending(StrEnum):
    """How a command ended; `answered` is the ending of a read, which is not recorded."""

    APPLIED = "applied"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"
    DROPPED = "dropped"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue in Redis: arq's own, and beside them ours."""

    queue: str

    def job_id(self, command_id: UUID, generation: int = 0) -> str:
        """Name the job; arq's keys are shared by all queues, so the name has the queue in it.

        A replay has a name of its own: arq, late to finish the job that failed, does not remove it.
        """
        return f"{self.queue}:{command_id}" + (f":{generation}" if generation else "")

    def job(self, command_id: UUID, generation: int = 0) -> str:
        """Where arq finds the job: its bytes, without a time to live."""
        return f"arq:job:{self.job_id(command_id, generation)}"

    def mark(self, command_id: UUID | str) -> str:
        """Where we keep what was accepted under this id: fingerprint, nonce, generation.

        It has a time to live once the command has ended, and none before.
        """
        return f"crud:{self.queue}:mark:{command_id}"

    def result(self, command_id: UUID | str) -> str:
        """Where the answer is, while it is kept."""
        return f"crud:{self.queue}:result:{command_id}"

    def failures(self, job_id: str) -> str:
        """Where we count what has gone wrong with a job so far, by reason."""
        return f"crud:{self.queue}:failures:{job_id}"

    def attempts(self, command_id: UUID | str) -> str:
        """Where it is written, for a while, what the latest failed attempts of a command met: a list."""
        return f"crud:{self.queue}:attempts:{command_id}"

    @property
    def bell(self) -> str:
        """Where an idle worker waits for a hint that there is work: a list of at most one."""
        return f"arq:bell:{self.queue}"

    @property
    def leases(self) -> str:
        """Where the ids of the jobs are that run, scored by the end of their lease."""
        return f"arq:leases:{self.queue}"

    def lane(self, name: str) -> str:
        """Where the commands of one row stand, in the order of their acceptance."""
        return f"crud:{self.queue}:lane:{name}"

    def stand(self, command_id: UUID | str) -> str:
        """Where it is written what a command waits for, or that it is dead and holds its lanes."""
        return f"crud:{self.queue}:stand:{command_id}"

    @property
    def waiting(self) -> str:
        """Where the commands are that may not run yet, because others stand before them."""
        return f"crud:{self.queue}:waiting"

    @property
    def parked(self) -> str:
        """Where the dead commands are that hold their lanes, scored by the time of their death."""
        return f"crud:{self.queue}:parked"

    @property
    def alone(self) -> str:
        """What the one command holds that may crash a database session, while it runs."""
        return f"crud:{self.queue}:alone"

    @property
    def written(self) -> str:
        """What a send writes last that waits until it is safe."""
        return f"crud:{self.queue}:written"

    @property
    def epoch(self) -> str:
        """A word that tells a Redis that has lost everything from the one that it was before."""
        return f"crud:{self.queue}:epoch"

    @property
    def halt(self) -> str:
        """What a person has stopped, a hash of times in ms: `paused` (claims), `draining` (sends)."""
        return f"crud:{self.queue}:halt"

    @property
    def feed(self) -> str:
        """Where it is told what was changed: a stream."""
        return f"crud:{self.queue}:feed"

    @property
    def enqueued(self) -> str:
        """How many commands were ever accepted."""
        return f"crud:{self.queue}:enqueued"

    def statistics(self, at: int) -> str:
        """Where it is counted what was finished in the ten seconds from `at` on (seconds since 1970)."""
        return f"crud:{self.queue}:statistics:{at}"

    @property
    def refused(self) -> str:
        """Where the latest jobs are that were refused: a list, the latest first."""
        return f"crud:{self.queue}:refused"

    @property
    def refusals(self) -> str:
        """Where it is counted how many were refused, by reason."""
        return f"crud:{self.queue}:refusals"

    def worker(self, name: str) -> str:
        """Where one worker process gives its sign of life."""
        return f"crud:{self.queue}:worker:{name}"

    @property
    def workers(self) -> str:
        """Where the names of the worker processes are, scored by the time of their last sign of life."""
        return f"crud:{self.queue}:workers"


def command_uuid(given: UUID | str) -> UUID:
    """Return the UUID that `given` is, or names."""
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except ValueError:
        return uuid5(_NAMESPACE, given)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A command as it travels."""

    id: UUID
    kind: str
    version: int
    fingerprint: str
    generation: int
    payload: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, command: Command[Any], command_id: UUID, generation: int = 0) -> Envelope:
        """Wrap a command whose ids are set."""
        return cls(
            command_id, command.kind, command.version, command.fingerprint(), generation, command.to_wire()
        )

    def encode(self) -> str:
        """Return it as compact JSON."""
        return compact(
            {
                "format": FORMAT,
                "id": str(self.id),
                "kind": self.kind,
                "version": self.version,
                "fingerprint": self.fingerprint,
                "generation": self.generation,
                "payload": self.payload,
            }
        )

    @classmethod
    def decode(cls, raw: Any) -> Envelope:
        """Read the JSON value of an envelope; raise ValueError with what is wrong."""
        try:
            if raw["format"] != FORMAT:
                message = f"envelope format {raw['format']!r} is not {FORMAT}"
                raise ValueError(message)
            kind, version, fingerprint = raw["kind"], raw["version"], raw["fingerprint"]
            generation, payload = raw["generation"], raw["payload"]
            envelope = cls(UUID(raw["id"]), kind, version, fingerprint, generation, payload)
        except (KeyError, TypeError, AttributeError) as error:
            message = f"not an envelope: {type(error).__name__} {error}"
            raise ValueError(message) from None
        are_texts = isinstance(kind, str) and isinstance(fingerprint, str)
        are_numbers = isinstance(version, int) and isinstance(generation, int)
        if not (are_texts and are_numbers and isinstance(payload, dict)):
            message = "not an envelope: a field is of the wrong type"
            raise ValueError(message)
        names = kind + fingerprint  # they become columns: no NUL, no lone surrogates
        if not (names.isprintable() and len(fingerprint) <= 64 and 0 <= generation < 2**31):  # noqa: PLR2004
            message = "not an envelope: a field is not what a producer writes"
            raise ValueError(message)
        return envelope


@dataclass(frozen=True)
class Answer:
    """How a command ended, as the worker tells it: a result, or an error (`code`, `message`, `field`)."""

    ending: Ending
    result: Any = field(default=None, repr=False)
    error: dict[str, Any] | None = None

    def encode(self) -> str:
        """Return it as JSON."""
        error = "null" if self.error is None else json.dumps(self.error)
        return f'{{"ending": "{self.ending}", "result": {self.result_json}, "error": {error}}}'

    @cached_property
    def result_json(self) -> str:
        """The result as JSON, which travels and is kept."""
        try:
            return to_json(self.result).decode()
        except PydanticSerializationError:  # it holds what UTF-8 cannot, such as half of an emoji
            return json.dumps(self.result)

    @classmethod
    def decode(cls, raw: bytes | str) -> Answer:
        """Read what `encode` wrote."""
        value = json.loads(raw)
        return cls(Ending(value["ending"]), value["result"], value["error"])

    def raise_error(self, command_id: UUID) -> None:
        """Raise the error that this answer stands for, if it is one."""
        if self.error is None:
            return
        code = str(self.error.get("code") or self.ending)
        error = _error_class(code, self.ending)(
            str(self.error.get("message") or ""),
            code=code,
            field=self.error.get("field"),
            command_id=command_id,
        )
        if isinstance(error, ResultExpired):
            error.summary = self.error.get("summary")
        raise error


_TYPED = (CommandConflict, CommandParked, MultipleFound, NotFound, ResultExpired)
_BY_CODE: dict[str, type[CommandError]] = {error.code: error for error in _TYPED}


def _error_class(code: str, ending: Ending) -> type[CommandError]:
    if ending is Ending.SUPERSEDED:
        return CommandSuperseded
    if code in _BY_CODE:
        return _BY_CODE[code]
    return CommandDead if ending in {Ending.DEAD, Ending.DROPPED} else CommandRejected


def compact(value: Any) -> str:
    """Write a JSON value without spaces."""
    return to_json(value).decode()
