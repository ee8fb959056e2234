"""Every error that a producer raises, as one tree.

CommandError
├── Unsent               a send was stopped; `accepted` holds what was accepted before
│   ├── CommandConflict  this id was used for another command
│   ├── DurabilityUnconfirmed  it was accepted, and Redis did not say in time that it is safe
│   ├── QueueFull        the queue holds QUEUE_MAX commands, is being drained, or Redis is short of memory
│   └── QueueUnavailable Redis does not answer
├── CommandRejected      it can never succeed; nothing was changed
│   ├── CommandSuperseded  the row has another version than the one it was to change
│   ├── NotFound         there is no such row
│   └── MultipleFound    there are more such rows than one
├── CommandDead          the worker gave up; the command waits among the dead letters
├── CommandParked        it waits behind a dead command of the same entity
├── ResultTimeout        no answer in the given time (also a TimeoutError); the command goes on
├── ResultExpired        the answer is no longer, or never was, in Redis
├── PayloadTooLarge      the command is larger than QUEUE_PAYLOAD_LIMIT
├── BadRow               a row of a file that is loaded is no command (also a ValueError)
└── InvalidSettings      a setting is missing or wrong (also a ValueError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from .load.loaded import Loaded


class CommandError(Exception):
    """Something went wrong with a command.

    `code` is a stable word for programs, `field` the field of the payload at fault (if one is),
    `command_id` the command (if it is known).
    """

    code: str = "error"

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        field: str | None = None,
        command_id: UUID | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        super().__init__(self.message)
        self.code = code or type(self).code
        self.field = field
        self.command_id = command_id


class Unsent(CommandError):
    """What stopped a send; `accepted` holds the receipts of the commands that were accepted before.

    Where one command was sent, `command` is that command with its ids set: sent under `command_id`, it is
    the same again.
    """

    accepted: Sequence[Any] = ()
    command: Any = None


class CommandConflict(Unsent):
    """This command id was used before, for a command with another content.

    `conflicts` has the places, from 0, of such commands in the call of `send_many` that it ended.
    """

    code = "conflict"
    conflicts: Sequence[int] = ()


class DurabilityUnconfirmed(Unsent):
    """The commands were accepted, as `accepted` says; whether they survive is not known.

    Sent again under their ids, they are duplicates, and are waited for again.
    """

    code = "durability_unconfirmed"


class CommandRejected(CommandError):
    """The command can never succeed, so it was refused and changed nothing.

    A handler raises it for a rule of its own; the worker raises it for what the database refuses.
    """

    code = "rejected"


class CommandSuperseded(CommandRejected):
    """The row has another version than `expected_version`, so it was left as it is."""

    code = "superseded"


class NotFound(CommandRejected):
    """There is no such row, and the command asked for one."""

    code = "not_found"


class MultipleFound(CommandRejected):
    """There are more such rows than the one that the command asked for."""

    code = "multiple_found"


class CommandDead(CommandError):
    """The worker gave the command up; `python -m worker dead` shows, mends and replays a write.

    A read leaves no dead letter. With the code `dropped`, a person gave it up for good.
    """

    code = "dead"


class CommandParked(CommandError):
    """The command waits behind a dead command of the same entity."""

    code = "parked"


class ResultTimeout(CommandError, TimeoutError):
    """There was no answer in the given time; the command itself goes on."""

    code = "timeout"


class ResultExpired(CommandError):
    """There is no answer in Redis: it is too old, or the command was never sent on this queue.

    `summary` has the counts and ids that were kept of a result too large to be kept whole.
    """

    code = "result_expired"
    summary: dict[str, Any] | None = None


class PayloadTooLarge(CommandError):
    """The command is larger than the queue takes; send it in parts."""

    code = "payload_too_large"


class BadRow(CommandError, ValueError):
    """A row of a file is no command.

    `path` and `line` say where it is, `reason` what is wrong, and `loaded` what became of the rows before it.
    """

    code = "bad_row"

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path} line {line}: {reason}")
        self.path, self.line, self.reason = path, line, reason
        self.loaded: Loaded | None = None


class QueueFull(Unsent):
    """The queue is full, or with the code `queue_draining` closed; nothing of this call was accepted.

    Try again later.
    """

    code = "queue_full"


class QueueUnavailable(Unsent):
    """Redis does not answer; send the command again with the same command id: it will not run twice.

    Where you gave no command id: `send(error.command, command_id=error.command_id)`.
    """

    code = "queue_unavailable"


class InvalidSettings(CommandError, ValueError):
    """A setting is missing or wrong."""

    code = "invalid_settings"
