"""The promise: what follows from an error is what the error table says, and no value of a row gets out.

The errors are PostgreSQL's own, each provoked in a handler that has already changed something: refused data
is rejected at once; what is slow, unlucky or a bug is counted, and dead after so many attempts. Always the
change is rolled back, and no value of a row or payload stands in answer, log, listing or traceback.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.testing import CapturingLogger

from producers import CommandRejected
from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.courier import Courier
from tests.guarantees.provocations import (
    COUNTED,
    READ_ONLY,
    REFUSED,
    SECRET,
    Peep,
    Provocation,
    make_things,
    trying,
)
from worker import executor
from worker.delivery import Later
from worker.failures import page
from worker.sqlstates import condition

Check = Callable[[Courier, Answer], Awaitable[None]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the executor logs."""
    logger = CapturingLogger()
    monkeypatch.setattr(executor, "log", logger)
    return logger


@pytest.fixture(autouse=True)
async def _things(database: AsyncEngine, counters: Counters) -> None:  # noqa: ARG001  # they are to be there
    await make_things(database)


@pytest.fixture
def nothing_got_out(
    logged: CapturingLogger, caplog: pytest.LogCaptureFixture, letters: Rows, counters: Counters
) -> Check:
    """Checks that the change was rolled back, the pool is whole, and that nobody is told a value."""

    async def check(courier: Courier, answer: Answer) -> None:
        assert await counters() == {}
        async with courier.app.sessions() as session:
            listing = await page(session, courier.app.tables)
        traces = [letter.traceback for letter in await letters()]
        for told in (answer.encode(), repr(logged.calls), caplog.text, repr(listing), repr(traces)):
            assert SECRET not in told
        assert courier.app.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # it is a QueuePool

    return check


@pytest.mark.parametrize("sqlstate", REFUSED)
async def test_what_the_database_refuses_is_rejected_at_once(
    sqlstate: str, make_app: MakeApp, letters: Rows, endings: Rows, nothing_got_out: Check
) -> None:
    error_class, provocation, field = REFUSED[sqlstate]
    courier = trying(make_app, provocation)

    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.ending is Ending.REJECTED
    assert answer.error is not None
    assert (answer.error["code"], answer.error["field"]) == (condition(sqlstate), field)
    [letter], [row] = await letters(), await endings()
    assert (letter.state, letter.sqlstate, letter.error_class) == ("rejected", sqlstate, error_class)
    assert (letter.code, letter.field, letter.message) == tuple(answer.error[x] for x in _TOLD)
    assert (letter.attempts, letter.body) == (1, courier.envelope.encode().encode())
    assert (row.ending, row.error) == ("rejected", answer.error)
    assert not courier.counted
    await nothing_got_out(courier, answer)


_TOLD = ("code", "field", "message")


@pytest.mark.parametrize("sqlstate", COUNTED)
async def test_what_is_slow_or_a_bug_is_counted_and_dead_after_so_many_attempts(
    sqlstate: str, make_app: MakeApp, letters: Rows, endings: Rows, nothing_got_out: Check
) -> None:
    courier = trying(make_app, COUNTED[sqlstate], max_attempts=3)

    for attempt in (1, 2):
        assert isinstance(await courier.deliver(), Later)
        assert courier.counted == {"attempts": attempt}
        assert (await letters(), await endings()) == ([], [])
    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.ending is Ending.DEAD
    assert answer.error is not None
    assert answer.error["code"] == condition(sqlstate)
    [letter], [row] = await letters(), await endings()
    assert (letter.state, letter.sqlstate, letter.attempts) == ("dead", sqlstate, 3)
    assert row.ending == "dead"
    await nothing_got_out(courier, answer)


async def raise_in_sqlalchemy(session: AsyncSession) -> None:
    def raise_os_error(_: object) -> None:
        raise OSError("of the handler's, though SQLAlchemy has called it")

    await session.run_sync(raise_os_error)


async def raise_timeout(_session: AsyncSession) -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


async def never_end(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_sleep(3600)"))


def raise_it(error: Exception) -> Provocation:
    async def provocation(_session: AsyncSession) -> None:
        raise error

    return provocation


@pytest.mark.parametrize(
    ("provocation", "code", "error_class"),
    [
        pytest.param(raise_it(ValueError("a bug")), "bug", "ValueError", id="ValueError"),
        pytest.param(
            raise_it(ConnectionResetError()), "bug", "ConnectionResetError", id="ConnectionResetError"
        ),
        pytest.param(raise_it(TimeoutError()), "bug", "TimeoutError", id="TimeoutError"),
        pytest.param(raise_timeout, "bug", "TimeoutError", id="a timeout of its own"),
        pytest.param(raise_in_sqlalchemy, "bug", "OSError", id="called by SQLAlchemy"),
        pytest.param(never_end, "timeout", "AttemptTimeout", id="our timeout"),
    ],
)
async def test_what_a_handler_raises_is_counted_and_never_taken_for_the_databases(
    provocation: Provocation, code: str, error_class: str, make_app: MakeApp, letters: Rows
) -> None:
    courier = trying(make_app, provocation, job_timeout=0.2, max_attempts=2)

    assert isinstance(await courier.deliver(), Later)
    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert (answer.ending, courier.counted) == (Ending.DEAD, {"attempts": 2})
    [letter] = await letters()
    assert (letter.code, letter.error_class, letter.sqlstate) == (code, error_class, None)
    assert error_class in letter.traceback


async def test_a_handlers_own_rejection_is_told_as_it_was_raised(make_app: MakeApp, letters: Rows) -> None:
    refusal = CommandRejected("no\0 \ud800such", code="rule", field="secret")
    courier = trying(make_app, raise_it(refusal))

    answer = await courier.deliver()

    expected = {"code": "rule", "field": "secret", "message": "no\\0 \\ud800such"}
    assert answer == Answer(Ending.REJECTED, error=expected)
    assert [letter.error_class for letter in await letters()] == ["CommandRejected"]


async def test_a_missing_table_is_waited_for_longer(make_app: MakeApp) -> None:
    delays = []
    for sqlstate in ("42601", "42P01", "42703"):
        courier = trying(make_app, COUNTED[sqlstate], backoff=1, backoff_cap=1000)
        random.seed(7)  # so that the jitter is the same
        outcome = await courier.deliver()
        assert isinstance(outcome, Later)
        delays.append(outcome.delay)
    assert delays[1:] == [pytest.approx(10 * delays[0])] * 2


@pytest.mark.parametrize("provocation", [READ_ONLY.partition("; ")[2], "SELECT 1 / 0"])
async def test_a_read_that_fails_answers_its_error_and_leaves_no_record(
    provocation: str, make_app: MakeApp, letters: Rows, endings: Rows, nothing_got_out: Check
) -> None:
    courier = trying(make_app, provocation, Peep(), max_attempts=2)

    answer = await courier.until_answered()

    assert answer.error is not None
    assert (await letters(), await endings()) == ([], [])
    await nothing_got_out(courier, answer)
