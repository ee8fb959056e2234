"""What an error means, and when to try again: pure functions, no input or output."""

from __future__ import annotations

import random
import sys
import traceback

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from producers.commands import UnreadableCommand
from producers.errors import CommandRejected, CommandSuperseded

from .failure import AttemptTimeout, Cause, CommitUnknown, Failure, tell
from .sqlstates import driver_error, sqlstate_of

PARENT_PAUSES = (0.1, 0.3, 0.6, 1.0)
"""How long a row waits for one that it refers to: the command that makes it may be on its way."""

_BY_TYPE = {
    CommitUnknown: Cause.UNKNOWN,
    AttemptTimeout: Cause.SLOW,
    CommandSuperseded: Cause.SUPERSEDED,  # it is a CommandRejected
    CommandRejected: Cause.REFUSED,
    UnreadableCommand: Cause.UNREADABLE,
}
_BY_STATE = {
    **dict.fromkeys(("40001", "40P01", "55P03"), Cause.CONFLICT),
    **dict.fromkeys(("26000", "42P05"), Cause.STALE),
    **dict.fromkeys(("57P01", "57P02", "57P03", "57P05", "58000", "58030", "3D000"), Cause.AWAY),
    **dict.fromkeys(("57014", "25P03", "55006", "XX000", "08P01", "53400"), Cause.SLOW),
    "23503": Cause.PARENT,
    "21000": Cause.REFUSED,
    **dict.fromkeys(("42P01", "42703"), Cause.DEPLOY),
}
_BY_CLASS = {
    **dict.fromkeys(("08", "28", "53"), Cause.AWAY),
    **dict.fromkeys(("22", "23", "54"), Cause.REFUSED),
}
_DRIVERS = {"aiosqlite", "asyncmy", "asyncpg", "sqlalchemy"}
_BELOW_DRIVERS = sys.stdlib_module_names | {"uvloop"}


def classify(error: Exception, *, read_only: bool = False) -> Failure:
    """Say what an error means, and what may be told of it."""
    return tell(error, cause_of(error, read_only=read_only))


def cause_of(error: Exception, *, read_only: bool = False) -> Cause:
    """Say why an attempt failed: first the phase, then our own timeout, SQLSTATE, what the driver raised."""
    for kind, cause in _BY_TYPE.items():
        if isinstance(error, kind):
            return cause
    if sqlstate := sqlstate_of(error):
        return _by_sqlstate(error, sqlstate, read_only=read_only)
    return Cause.AWAY if _raised_by_driver(error) else Cause.BUG


def definite(error: BaseException) -> bool:
    """Whether an error of COMMIT says for certain that nothing was committed."""
    sqlstate = sqlstate_of(error) or ""
    return sqlstate[:2] in {"23", "40"} and sqlstate != "40003"  # statement_completion_unknown


def backoff(failures: int, *, first: float, cap: float) -> float:
    """Seconds to wait after so many failures: exponential, with full jitter."""
    return random.uniform(0, min(cap, first * 2 ** min(failures - 1, 30)))  # noqa: S311  # not a secret


def jittered(seconds: float) -> float:
    """About `seconds`, so that many do not come back at once."""
    return random.uniform(0.5, 1.5) * seconds  # noqa: S311  # not a secret


def _by_sqlstate(error: Exception, sqlstate: str, *, read_only: bool) -> Cause:
    if sqlstate == "25006":
        return Cause.BUG if read_only else Cause.AWAY
    if isinstance(driver_error(error), asyncpg.InvalidCachedStatementError):
        return Cause.STALE
    return _BY_STATE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], Cause.BUG)


def _raised_by_driver(error: Exception) -> bool:
    """Whether driver or pool raised it: a handler has reasons of its own for an OSError or TimeoutError."""
    if isinstance(error, InterfaceError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if not isinstance(error, OSError | asyncpg.InterfaceError):
        return False
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(module.startswith("sqlalchemy.pool.") for module in modules):
        return True  # it was connecting
    packages = [module.partition(".")[0] for module in modules]
    raised_in = next((package for package in reversed(packages) if package not in _BELOW_DRIVERS), "")
    return raised_in in _DRIVERS
