"""What an error means, and what follows from it: pure functions, no input or output."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from producers.commands import UnreadableCommand
from producers.errors import CommandRejected

from .sqlstates import condition, first_columns


class Cause(StrEnum):
    """Why an attempt failed; each has one line in `classify` and one in the executor."""

    CONFLICT = "conflict"
    STALE = "stale_connection"
    AWAY = "database_away"
    SLOW = "slow"
    PARENT = "parent_missing"
    REFUSED = "refused"
    BUG = "bug"
    DEPLOY = "schema_missing"
    UNREADABLE = "unreadable"
    UNKNOWN = "commit_unknown"


class AttemptTimeout(Exception):
    """The attempt took longer than WORKER_JOB_TIMEOUT."""


class CommitUnknown(Exception):
    """COMMIT was sent and no answer came: it may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error, understood. `message` holds no values of rows or payloads; `trace` may."""

    cause: Cause
    code: str
    message: str
    error_class: str
    sqlstate: str | None = None
    field: str | None = None
    trace: str = ""


_BY_STATE = {
    **dict.fromkeys(("40001", "40P01", "55P03"), Cause.CONFLICT),
    **dict.fromkeys(("26000", "42P05"), Cause.STALE),
    **dict.fromkeys(("57P01", "57P02", "57P03", "57P05", "58000", "58030", "3D000"), Cause.AWAY),
    **dict.fromkeys(("57014", "25P03", "55006", "XX000", "08P01", "53400"), Cause.SLOW),
    "23503": Cause.PARENT,
    **dict.fromkeys(("23505", "23502", "23514", "23P01", "21000"), Cause.REFUSED),
    **dict.fromkeys(("42P01", "42703"), Cause.DEPLOY),
}
_BY_CLASS = {"08": Cause.AWAY, "53": Cause.AWAY, "28": Cause.AWAY, "22": Cause.REFUSED, "54": Cause.REFUSED}
_DRIVERS = ("asyncpg", "sqlalchemy")


def classify(error: BaseException, *, read_only: bool = False) -> Failure:
    """Say what an error means: the phase first, then our own timeout, SQLSTATE, and what the driver raised."""
    match error:
        case CommitUnknown():
            return _failure(error, Cause.UNKNOWN, "commit_unknown", "COMMIT was sent and not answered")
        case AttemptTimeout():
            return _failure(error, Cause.SLOW, "timeout", "the attempt took longer than WORKER_JOB_TIMEOUT")
        case CommandRejected():
            return _failure(error, Cause.REFUSED, error.code, error.message, field=error.field)
        case UnreadableCommand():
            return _failure(error, Cause.UNREADABLE, "unreadable", str(error))
    sqlstate = sqlstate_of(error)
    if sqlstate is not None:
        return _by_sqlstate(error, sqlstate, read_only=read_only)
    if _lost_by_driver(error):
        return _failure(error, Cause.AWAY, "connection_lost", "the connection to the database failed")
    return _failure(error, Cause.BUG, "bug", f"{type(error).__name__} in the handler")


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error of SQLAlchemy's or of the driver's."""
    for source in (error, getattr(error, "orig", None)):
        state = getattr(source, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


def definite(error: BaseException) -> bool:
    """Whether an error of COMMIT says for certain that nothing was committed."""
    return (sqlstate_of(error) or "")[:2] in {"23", "40"}


def backoff(failures: int, *, first: float, cap: float) -> float:
    """Seconds to wait after so many failures: exponential, with full jitter."""
    return random.uniform(0, min(cap, first * 2 ** min(failures - 1, 30)))  # noqa: S311  # not a secret


def jittered(seconds: float) -> float:
    """About `seconds`, so that many do not come back at once."""
    return random.uniform(0.5, 1.5) * seconds  # noqa: S311  # not a secret


def _by_sqlstate(error: BaseException, sqlstate: str, *, read_only: bool) -> Failure:
    cause = _BY_STATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], Cause.BUG)
    if sqlstate == "25006":
        cause = Cause.BUG if read_only else Cause.AWAY
    if sqlstate == "0A000" and _is_cached_plan(error):
        cause = Cause.STALE
    driver = _driver_error(error)
    constraint = getattr(driver, "constraint_name", None)
    field = getattr(driver, "column_name", None) or first_columns(getattr(driver, "detail", None))
    name = condition(sqlstate)
    message = name.replace("_", " ")
    if field or constraint:
        message += f" ({', '.join(str(part) for part in (field, constraint) if part)})"
    return _failure(error, cause, name, message, sqlstate=sqlstate, field=field)


def _driver_error(error: BaseException) -> Any:
    """The driver's own error, below SQLAlchemy's and its adapter's."""
    orig = getattr(error, "orig", None)
    return getattr(orig, "__cause__", None) or orig or error


def _is_cached_plan(error: BaseException) -> bool:
    names = {type(layer).__name__ for layer in (error, getattr(error, "orig", None), _driver_error(error))}
    return bool(names & {"InvalidCachedStatementError"})


def _lost_by_driver(error: BaseException) -> bool:
    """OSError, InterfaceError and a pool's timeout count only when driver or pool raised them."""
    if isinstance(error, InterfaceError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] != "asyncpg":
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] in _DRIVERS for frame, _ in frames)


def _failure(
    error: BaseException, cause: Cause, code: str, message: str, *, sqlstate: str | None = None, field: str | None = None
) -> Failure:
    name = type(getattr(error, "orig", None) or error).__name__
    message = " ".join([message, *getattr(error, "__notes__", ())])  # which part of an Atomic it was
    # What a database says of a row holds its values: only errors of our own code are told in full.
    last = message if sqlstate else str(error)
    trace = "".join(traceback.format_tb(error.__traceback__)) + f"{name}: {last}"
    return Failure(cause, code, message, name, sqlstate, field, trace)
