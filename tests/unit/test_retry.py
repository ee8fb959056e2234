"""What an error means, and when to try again, without a server: the table of DESIGN line by line."""

from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from producers import CommandRejected
from producers.commands import UnreadableCommand
from worker.failure import AttemptTimeout, Cause, CommitUnknown
from worker.retry import backoff, cause_of, classify, definite, jittered

Adapter: Any = AsyncAdapt_asyncpg_dbapi

TABLE = {
    Cause.CONFLICT: ["40001", "40P01", "55P03"],
    Cause.STALE: ["26000", "42P05"],
    Cause.AWAY: [
        *("08000", "08001", "08003", "08006", "08007", "53000", "53100", "53200", "53300"),
        *("57P01", "57P02", "57P03", "57P05", "58000", "58030", "28000", "28P01", "3D000", "25006"),
    ],
    Cause.SLOW: ["57014", "25P03", "55006", "XX000", "08P01", "53400"],
    Cause.PARENT: ["23503"],
    Cause.REFUSED: [
        *("23000", "23502", "23505", "23514", "23P01", "21000"),
        *("22000", "22001", "22003", "22012", "22021", "22P02", "54000", "54001", "54011", "54023"),
    ],
    Cause.DEPLOY: ["42P01", "42703"],
    Cause.BUG: [
        *("42601", "42501", "42804", "42883", "0A000", "25P02", "25001", "40003", "57P04", "P0001", "44000"),
    ],
}
LINES = [(cause, state) for cause, states in TABLE.items() for state in states]


class Said(asyncpg.PostgresError):  # type: ignore[misc]  # asyncpg comes without types
    """An error as the server has said it."""

    def __init__(self, sqlstate: str, **fields: str) -> None:
        super().__init__("a message with s3cr3t")
        self.__dict__.update(fields, sqlstate=sqlstate)


def wrapped(driver: Exception, kind: Any = Adapter.Error, *, invalidated: bool = False) -> DBAPIError:
    """Wrap an error of asyncpg's as SQLAlchemy does."""
    adapted = kind(f"{type(driver)}: {driver}", driver)
    adapted.__cause__ = driver
    return DBAPIError("SELECT 1", {}, adapted, connection_invalidated=invalidated)


def raised_through(error: Exception, *modules: str) -> Exception:
    """Give an error the traceback it has when the first module called the second, and so on to the last."""
    call: Any = None
    for module in reversed(modules):
        there: dict[str, Any] = {"__name__": module, "inner": call, "error": error}
        exec("def call():\n    if inner is None: raise error\n    inner()", there)  # noqa: S102  # no other way
        call = there["call"]
    with pytest.raises(type(error)):
        call()
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # without this module
    return error


@pytest.mark.parametrize(("cause", "sqlstate"), LINES)
def test_each_line_of_the_table(cause: Cause, sqlstate: str) -> None:
    assert cause_of(Said(sqlstate)) is cause_of(wrapped(Said(sqlstate))) is cause


def test_a_read_that_tries_to_write_is_a_bug() -> None:
    assert cause_of(Said("25006"), read_only=True) is Cause.BUG


@given(st.text(min_size=5, max_size=5))
def test_every_other_sqlstate_is_understood_as_well(sqlstate: str) -> None:
    failure = classify(wrapped(Said(sqlstate)))
    assert failure.cause in Cause
    assert "s3cr3t" not in failure.message


def test_a_cached_plan_is_known_by_its_class_since_sqlalchemy_drops_its_sqlstate() -> None:
    error = wrapped(asyncpg.InvalidCachedStatementError("a plan"), Adapter.InvalidCachedStatementError)
    assert error.orig.sqlstate is None  # type: ignore[union-attr]  # it is there
    assert (classify(error).cause, classify(error).sqlstate) == (Cause.STALE, "0A000")


@pytest.mark.parametrize(
    ("error", "cause", "code"),
    [
        (CommitUnknown(), Cause.UNKNOWN, "commit_unknown"),
        (AttemptTimeout(), Cause.SLOW, "timeout"),
        (CommandRejected("no", code="rule"), Cause.REFUSED, "rule"),
        (UnreadableCommand("what is it?"), Cause.UNREADABLE, "unreadable"),
        (PoolTimeout(), Cause.AWAY, "connection_lost"),
        (InterfaceError(None, None, Exception("connection is closed")), Cause.AWAY, "connection_lost"),
        (wrapped(Exception("lost"), invalidated=True), Cause.AWAY, "connection_lost"),
        (wrapped(Exception("not lost")), Cause.BUG, "bug"),
        (StatementError("s3cr3t", "SELECT 1", {}, ValueError("s3cr3t")), Cause.BUG, "bug"),
        (ValueError("s3cr3t"), Cause.BUG, "bug"),
        (OSError("never raised by anybody"), Cause.BUG, "bug"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_without_a_sqlstate(error: Exception, cause: Cause, code: str) -> None:
    failure = classify(error)
    assert (failure.cause, failure.code) == (cause, code)
    assert "s3cr3t" not in failure.message


@pytest.mark.parametrize("error", [OSError, TimeoutError, ConnectionResetError])
@pytest.mark.parametrize(
    ("cause", "modules"),
    [
        (
            Cause.AWAY,
            ["worker.transaction", "sqlalchemy.pool.base", "asyncpg.connection", "asyncio.tasks"],
        ),
        (Cause.AWAY, ["worker.transaction", "sqlalchemy.pool.base", "their_creator.connect"]),
        (Cause.AWAY, ["shop.handlers", "sqlalchemy.engine.base", "asyncpg.connection", "uvloop.loop"]),
        (Cause.AWAY, ["shop.handlers", "asyncpg.protocol"]),
        (Cause.BUG, ["shop.handlers"]),
        (Cause.BUG, ["shop.handlers", "asyncio.timeouts"]),
        (Cause.BUG, ["shop.handlers", "aiohttp.client", "asyncio.streams"]),
        (Cause.BUG, ["worker.app", "sqlalchemy.ext.asyncio.session", "shop.handlers", "socket"]),
        (Cause.BUG, ["worker.app", "sqlalchemy.engine.base", "shop.types", "ssl"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else str(value),
)
def test_who_raised_it_decides(error: type[Exception], cause: Cause, modules: list[str]) -> None:
    assert cause_of(raised_through(error(), *modules)) is cause


@pytest.mark.parametrize(
    ("sqlstate", "is_definite"),
    [
        *((state, True) for state in ("23505", "23503", "23514", "40001", "40P01")),
        *((state, False) for state in ("40003", "57P01", "57014", "08006", "XX000", "P0001", "53100")),
    ],
)
def test_which_errors_of_commit_say_that_nothing_was_committed(sqlstate: str, is_definite: bool) -> None:  # noqa: FBT001
    assert definite(wrapped(Said(sqlstate))) is is_definite
    assert not definite(OSError())


def test_values_stay_out_of_all_but_the_trace_of_our_own_errors() -> None:
    detail = "Key (name)=(s3cr3t) already exists."
    failure = classify(wrapped(Said("23505", constraint_name="uq_users_name", detail=detail)))
    assert (failure.message, failure.field) == ("unique violation (name, uq_users_name)", "name")
    assert "s3cr3t" not in failure.trace
    assert classify(ValueError("s3cr3t")).trace.endswith("ValueError: s3cr3t\n")
    assert "s3cr3t" not in classify(StatementError("s3cr3t", "SELECT 1", {}, ValueError("s3cr3t"))).trace


def test_the_error_of_a_missing_table_is_told_in_the_trace() -> None:
    assert classify(wrapped(Said("42P01"))).trace.endswith("Said: a message with s3cr3t")


def test_the_part_of_an_atomic_is_named_and_other_notes_are_not() -> None:
    error = wrapped(Said("23502", column_name="title"))
    error.add_note("s3cr3t that a handler has noted")
    error.add_note("in commands.1 (post.create)")
    failure = classify(error)
    assert failure.field == "commands.1.title"
    assert failure.message == "not null violation (title) in commands.1 (post.create)"


def test_an_error_that_cannot_even_be_written_out_is_understood() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert classify(Broken()).message == "Broken in the handler"


@given(st.text(), st.text())
def test_all_that_is_told_can_be_stored(message: str, field: str) -> None:
    failure = classify(CommandRejected(message + "\0\ud800", field=field + "\0"))
    for told in (failure.message, failure.field or "", failure.trace):
        assert "\0" not in told.encode().decode()


@given(
    st.integers(1, 10**9),
    st.floats(0.001, 1e6, allow_nan=False),
    st.floats(0.001, 1e9, allow_nan=False),
)
def test_backoff_doubles_up_to_its_cap(failures: int, first: float, cap: float) -> None:
    delay = backoff(failures, first=first, cap=cap)
    assert 0 <= delay <= cap
    assert delay <= first * 2 ** min(failures - 1, 60)


@given(st.floats(0, 1e6, allow_nan=False))
def test_jitter_is_up_to_half(seconds: float) -> None:
    assert 0.5 * seconds <= jittered(seconds) <= 1.5 * seconds
