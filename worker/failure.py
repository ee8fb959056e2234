"""What went wrong with an attempt, and what is told of it: in the answer, the log and the dead letter."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.exc import StatementError

from producers.commands import UnreadableCommand
from producers.commands.personal import hider
from producers.errors import CommandRejected

from .sqlstates import columns, condition, constraint, driver_error, sqlstate_of, told_of_statement


class Cause(StrEnum):
    """Why an attempt failed; each has one line in `retry` and one in the executor."""

    CONFLICT = "conflict"
    STALE = "stale_connection"
    AWAY = "database_away"
    SLOW = "slow"
    PARENT = "parent_missing"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    BUG = "bug"
    DEPLOY = "schema_missing"
    UNREADABLE = "unreadable"
    UNKNOWN = "commit_unknown"
    POISON = "poison"


class AttemptTimeout(Exception):
    """The attempt took longer than WORKER_JOB_TIMEOUT."""

    code = "timeout"


class CommitUnknown(Exception):
    """COMMIT was sent and no answer came: it may or may not have happened."""

    code = "commit_unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, understood.

    `message` and `trace` hold no values of rows or payloads where a database raised it. What our own code
    raised may quote them: all but those `without` which it is told. `place` is the
    last function of the domain on the way to where it was raised, such as `handlers/user.py, create_user`.
    """

    cause: Cause
    code: str
    message: str
    error_class: str
    sqlstate: str | None = None
    field: str | None = None
    trace: str = ""
    place: str = ""

    def told(self, attempts: int, delay: float) -> dict[str, Any]:
        """Return what a log line says of it, and of the pause before the next attempt."""
        about = {"cause": self.cause.value, "code": self.code, "sqlstate": self.sqlstate}
        return {**about, "error": self.error_class, "attempts": attempts, "delay": round(delay, 3)}

    @property
    def may_quote(self) -> bool:
        """Whether it may quote values: what a database says is told of statements alone, not of rows.

        Nor does who is superseded: by versions, and a personal number may look like one.
        """
        is_told_by_us = self.cause is Cause.SUPERSEDED
        return not is_told_by_us and (self.sqlstate is None or self.sqlstate.startswith("42"))

    def without(self, values: Sequence[Any]) -> Failure:
        """Hide values wherever it quotes them; the numbers of lines in the trace stay."""
        told = f"{self.trace}\n{self.message}"
        hide = hider(told, values)
        hide_long = hider(told, [value for value in values if len(str(value)) >= _LONG])
        lines = hide_long(self.trace).split("\n")
        hidden = [line if _FRAME.match(line) else hide(line) for line in lines]
        return replace(self, message=hide(self.message), trace="\n".join(hidden))


_OURS, _INSTALLED = f"{__package__}.", {"site-packages", "dist-packages"}
_FRAME = re.compile(r'  File ".+", line \d+, in ')
_LONG = 5
"""With as many characters, a value is no number of a line."""
_PART = re.compile(r"in ((?:commands|rows)\.\d+) ")
"""The note that an error in an Atomic or a bulk command bears; others are not ours, and may hold values."""


def tell(error: Exception, cause: Cause) -> Failure:
    """Say of an error what may be said."""
    code, message, field = _summary(error, cause)
    trace = "".join(traceback.format_tb(error.__traceback__)) + _last_line(error, message)
    for note in getattr(error, "__notes__", ()):
        if part := _PART.match(note):
            message = f"{message} {note}"
            field = f"{part.group(1)}.{field}" if field else part.group(1)
    return Failure(
        cause,
        code,
        _storable(message),
        type(driver_error(error)).__name__,
        sqlstate_of(error.__cause__ if isinstance(error, CommitUnknown) else error),
        None if field is None else _storable(field),
        _storable(trace),
        _storable(_place(error)),
    )


def _place(error: Exception) -> str:
    """Find the last function of the domain's own code: not of ours, of Python's, or of what is installed."""
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        module, file = frame.f_globals.get("__name__", ""), Path(frame.f_code.co_filename)
        is_ours = module.startswith(_OURS) and not module.startswith(f"{_OURS}handlers.")
        if not (is_ours or module.partition(".")[0] in sys.stdlib_module_names or _INSTALLED & {*file.parts}):
            return f"{file.parent.name}/{file.name}, {frame.f_code.co_name}"
    return ""


def _summary(error: Exception, cause: Cause) -> tuple[str, str, str | None]:
    """Return code, message and field."""
    match error:
        case CommandRejected():
            return error.code, str(error.message), error.field
        case UnreadableCommand():
            return "unreadable", str(error), None
        case AttemptTimeout() | CommitUnknown():
            return error.code, str(type(error).__doc__).removesuffix("."), None
    if sqlstate := sqlstate_of(error):
        name, field = condition(sqlstate), columns(error)
        about = ", ".join(filter(None, (field, constraint(error))))
        return name, name.replace("_", " ") + (f" ({about})" if about else ""), field
    if cause is Cause.AWAY:
        return "connection_lost", "the connection to the database failed", None
    return "bug", f"{type(error).__name__} in the handler", None


def _last_line(error: Exception, message: str) -> str:
    sqlstate, driver = sqlstate_of(error), driver_error(error)
    if sqlstate is None and not isinstance(error, StatementError):
        return "".join(traceback.format_exception_only(error))
    # What a database says of a row, or SQLAlchemy of a parameter, holds its value.
    return f"{type(driver).__name__}: {told_of_statement(error) or message}"


def _storable(text: str) -> str:
    """Write out what no text or JSON of a database can hold: NUL and lone surrogates."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
