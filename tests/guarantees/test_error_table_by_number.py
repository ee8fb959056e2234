"""The promise: the error table holds on MariaDB and SQLite, whose errors are understood by their number.

As on PostgreSQL: refused data is rejected at once, a bug is counted and dead in the end, the change is
rolled back, and no value of a row or payload stands in answer, log, listing or traceback. And where an error
ends the transaction, nothing goes on in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from structlog.testing import CapturingLogger

from producers.commands import CreateUser
from producers.wire import Answer, Ending
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from tests.guarantees.provocations import SECRET, Peep, Provocation, trying
from worker import executor
from worker.delivery import Later
from worker.failures import page
from worker.sqlstates import condition
from worker.types import string

Check = Callable[[Courier, Answer], Awaitable[None]]

PARENTS = Table("parents", MetaData(), Column("id", Integer, primary_key=True))
THINGS = Table(
    "things",
    PARENTS.metadata,
    Column("id", Integer, primary_key=True),
    Column("word", string(12), unique=True),
    Column("age", Integer),
    Column("must", string(12), nullable=False, server_default=""),
    Column("parent", Integer),
)
_MORE = {
    "mariadb": (
        "ALTER TABLE things ADD CONSTRAINT ck_age CHECK (age >= 0)",
        "ALTER TABLE things ADD CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES parents (id)",
    ),
    "sqlite": (
        "DROP TABLE things",
        """
        CREATE TABLE things (
            id integer PRIMARY KEY, word varchar(12) UNIQUE, age integer,
            must varchar(12) NOT NULL DEFAULT '',
            parent integer REFERENCES parents, CONSTRAINT ck_age CHECK (age >= 0)
        )
        """,
    ),
}
_ROWS = (
    "INSERT INTO parents VALUES (1)",
    f"INSERT INTO things VALUES (1, '{SECRET}', 1, '', 1), (2, '', 2, '', NULL)",  # noqa: S608
)


async def take_the_word(session: AsyncSession) -> None:
    """As the handlers do, by an expression: MariaDB's error alone would name its key and not its columns."""
    await session.execute(insert(THINGS).values(id=3, word=SECRET))


def shout(sqlstate: str) -> str:
    return f"SIGNAL SQLSTATE '{sqlstate}' SET MESSAGE_TEXT = 'raised with {SECRET}'"


WORD = "UPDATE things SET word = :secret WHERE id = 2"
REFUSED: dict[str, dict[str, tuple[Provocation, str | None]]] = {
    "mariadb": {
        "22001": ("UPDATE things SET word = concat(:secret, '!') WHERE id = 2", None),
        "22003": ("UPDATE things SET age = :secret WHERE id = 2", None),
        "22012": ("UPDATE things SET age = 1 / 0 WHERE word = :secret", None),
        "22P02": ("UPDATE things SET age = concat('x', :secret) WHERE id = 2", None),
        "23502": ("UPDATE things SET must = NULL WHERE word = :secret", "must"),
        "23505": (take_the_word, "word"),
        "23514": ("UPDATE things SET age = -1 WHERE word = :secret", None),
        "21000": ("SELECT (SELECT id FROM things WHERE word IN ('', :secret))", None),
        "23001": ("DELETE FROM parents", "parent"),
        "22023": (shout("22023"), None),
    },
    "sqlite": {
        "23502": ("UPDATE things SET must = NULL WHERE word = :secret", "must"),
        "23505": (WORD, "word"),
        "23514": ("UPDATE things SET age = -1 WHERE word = :secret", None),
        "22P02": ("UPDATE things SET id = :secret || 'x' WHERE id = 2", None),
        "54000": ("SELECT zeroblob(2000000000 + length(:secret))", None),
    },
}
"""By SQLSTATE: what provokes it, the field."""

COUNTED: dict[str, dict[str, Provocation]] = {
    "mariadb": {
        "57014": "SET STATEMENT max_statement_time = 0.01 FOR SELECT sleep(10)",
        "42P01": "SELECT * FROM nowhere WHERE word = :secret",
        "42703": "SELECT more FROM things WHERE word = :secret",
        "42601": "SELEC :secret",
        "45000": shout("45000"),
        "08006": shout("08006"),
        "53100": shout("53100"),
    },
    "sqlite": {
        "42P01": "SELECT * FROM nowhere WHERE word = :secret",
        "42703": "SELECT more FROM things WHERE word = :secret",
        "42000": "SELEC :secret",
    },
}
"""By SQLSTATE: slow, our bug, or "database away" while the database answers."""


def each(table: dict[str, dict[str, Any]]) -> pytest.MarkDecorator:
    """Run a test for each line of a table, on its database."""
    lines = [(kind, sqlstate) for kind, states in table.items() for sqlstate in states]
    return pytest.mark.parametrize(("database_kind", "sqlstate"), lines, indirect=["database_kind"])


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What the executor logs."""
    logger = CapturingLogger()
    monkeypatch.setattr(executor, "log", logger)
    return logger


@pytest.fixture(autouse=True)
async def _things(database: AsyncEngine, counters: Counters) -> None:  # noqa: ARG001  # they are to be there
    async with database.begin() as connection:
        await connection.run_sync(THINGS.metadata.create_all)
        for statement in (*_MORE[database.dialect.name], *_ROWS):
            await connection.execute(text(statement))


@pytest.fixture
def nothing_got_out(
    logged: CapturingLogger, caplog: pytest.LogCaptureFixture, letters: Rows, counters: Counters
) -> Check:
    """Checks that the change was rolled back, and that nobody is told a value."""

    async def check(courier: Courier, answer: Answer) -> None:
        assert await counters() == {}
        async with courier.app.sessions() as session:
            listing = await page(session, courier.app.tables)
        traces = [letter.traceback for letter in await letters()]
        for told in (answer.encode(), repr(logged.calls), caplog.text, repr(listing), repr(traces)):
            assert SECRET not in told
        assert courier.app.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # it is a QueuePool

    return check


@each(REFUSED)
async def test_what_the_database_refuses_is_rejected_at_once(
    database_kind: str, sqlstate: str, make_app: MakeApp, letters: Rows, nothing_got_out: Check
) -> None:
    provocation, field = REFUSED[database_kind][sqlstate]
    courier = trying(make_app, provocation)

    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert (answer.ending, answer.error["code"]) == (Ending.REJECTED, condition(sqlstate))
    assert answer.error["field"] == field
    [letter] = await letters()
    assert (letter.state, letter.sqlstate, letter.field) == ("rejected", sqlstate, field)
    assert not courier.counted
    await nothing_got_out(courier, answer)


@each(COUNTED)
async def test_what_is_slow_or_a_bug_is_counted_and_dead_after_so_many_attempts(
    database_kind: str, sqlstate: str, make_app: MakeApp, letters: Rows, nothing_got_out: Check
) -> None:
    courier = trying(make_app, COUNTED[database_kind][sqlstate], max_attempts=2)

    assert isinstance(await courier.deliver(), Later)
    assert courier.counted == {"attempts": 1}
    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.ending is Ending.DEAD
    assert [letter.sqlstate for letter in await letters()] == [sqlstate]
    await nothing_got_out(courier, answer)


@pytest.mark.databases("mariadb", "sqlite")
async def test_a_missing_parent_is_waited_for_and_then_a_reason_to_reject(make_app: MakeApp) -> None:
    courier = trying(make_app, "UPDATE things SET parent = 2 WHERE word = :secret")

    answer = await courier.until_answered()

    assert (answer.ending, courier.counted) == (Ending.REJECTED, {"parent": 6})


@pytest.mark.databases("mariadb", "sqlite")
async def test_a_read_that_writes_is_a_bug_and_leaves_no_record(
    make_app: MakeApp, letters: Rows, endings: Rows, nothing_got_out: Check
) -> None:
    courier = trying(make_app, WORD, Peep(), max_attempts=2)

    answer = await courier.until_answered()

    assert answer.error is not None
    assert answer.error["code"] == "read_only_sql_transaction"
    assert (await letters(), await endings(), courier.counted) == ([], [], {"attempts": 2})
    await nothing_got_out(courier, answer)


@pytest.mark.databases("mariadb", "sqlite")
async def test_a_lock_that_is_held_is_tried_again_at_once(
    make_app: MakeApp, database: AsyncEngine, counters: Counters
) -> None:
    turns = 0

    async def run_into_it(session: AsyncSession) -> None:
        nonlocal turns
        turns += 1
        await session.execute(text("UPDATE things SET age = age + 1 WHERE id = 1"))

    courier = trying(make_app, run_into_it, commit_timeout=2.0, job_timeout=20)
    async with database.connect() as other:
        await other.execute(text("UPDATE things SET age = age + 1 WHERE id = 1"))
        delivering = asyncio.create_task(courier.deliver())
        await asyncio.sleep(1.3)  # the patience of a statement is one second
        await other.rollback()
    assert await delivering == Answer(Ending.APPLIED, 1)
    assert (courier.counted, await counters()) == ({}, {"n": 1})


@pytest.mark.databases("mariadb", "sqlite")
@pytest.mark.parametrize("swallows", [True, False])
async def test_nothing_goes_on_where_an_error_has_ended_the_transaction(
    make_app: MakeApp, database: AsyncEngine, counters: Counters, endings: Rows, *, swallows: bool
) -> None:
    """Else the first half of an effect would be gone, and the other half committed with `applied`."""

    async def lose_it(session: AsyncSession) -> None:
        if database.dialect.name == "sqlite":
            await session.execute(text("INSERT OR ROLLBACK INTO things (id) VALUES (1)"))
        else:
            await deadlock(session, database)

    async def handle(session: AsyncSession, command: Bump) -> int:
        await bump(session, Bump(name="before"))
        with suppress(*([DBAPIError] if swallows else [])):
            await lose_it(session)
        return await bump(session, command)

    courier = Courier(make_app({Bump: handle}, max_attempts=1), envelope_of(Bump(name="after")))
    answer = await courier.until_answered()

    assert answer.ending is not Ending.APPLIED
    assert await counters() == {}
    assert [row.ending for row in await endings()] == [answer.ending]


async def deadlock(session: AsyncSession, database: AsyncEngine) -> None:
    """Lose a deadlock against one that has changed more."""
    async with database.connect() as other:
        for number in range(100, 150):
            await other.execute(insert(THINGS).values(id=number))
        await other.execute(text("UPDATE things SET age = 5 WHERE id = 1"))
        await session.execute(text("UPDATE things SET age = 5 WHERE id = 2"))
        waiting = asyncio.create_task(other.execute(text("UPDATE things SET age = 5 WHERE id = 2")))
        await asyncio.sleep(0.05)
        try:
            await session.execute(text("UPDATE things SET age = 5 WHERE id = 1"))
        finally:
            await waiting
            await other.rollback()


@pytest.mark.databases("mariadb", "sqlite")
async def test_a_duplicate_of_the_example_names_its_field(make_app: MakeApp) -> None:
    app = make_app()
    assert isinstance(await Courier(app, envelope_of(CreateUser(username="ada"))).deliver(), Answer)
    answer = await Courier(app, envelope_of(CreateUser(username="ada"))).deliver()

    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert (answer.error["code"], answer.error["field"]) == ("unique_violation", "username")
