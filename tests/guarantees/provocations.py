"""What makes PostgreSQL raise the errors of the error table, on rows and parameters that hold a secret."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import Command, Query
from tests.guarantees.conftest import MakeApp
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of

SECRET = "471108151234"
"""Stands in the payload, in rows and in parameters; nobody but the handler is to see it again."""

_TABLES = (
    "CREATE TABLE parents (id int PRIMARY KEY)",
    """
    CREATE TABLE things (
        id int PRIMARY KEY,
        word varchar(12) UNIQUE,
        age int CHECK (age >= 0),
        must text NOT NULL DEFAULT '',
        parent int REFERENCES parents ON DELETE RESTRICT,
        span int8range,
        EXCLUDE USING gist (span WITH &&)
    )
    """,
    "INSERT INTO parents VALUES (1)",
    f"INSERT INTO things VALUES (1, '{SECRET}', 1, '', 1, '[{SECRET},)'), (2, '', 2, '', NULL, NULL)",  # noqa: S608
)

Provocation = str | Callable[[AsyncSession], Awaitable[object]]


class Try(Command[int]):
    """Do what the test wants."""

    kind: ClassVar[str] = "test.try"

    secret: str = SECRET


class Peep(Query[int]):
    """The same, but only reading."""

    kind: ClassVar[str] = "test.peep"

    secret: str = SECRET


async def make_things(database: AsyncEngine) -> None:
    """Make the tables that the provocations act on."""
    async with database.begin() as connection:
        for statement in _TABLES:
            await connection.execute(text(statement))


def trying(
    make_app: MakeApp, provocation: Provocation, command: Command[Any] | None = None, **options: Any
) -> Courier:
    """Make a courier to an App whose handler adds one to the counter "n", and then does what it is to do."""

    async def handle(session: AsyncSession, command: Command[Any]) -> int:
        if not command.read_only:
            await bump(session, Bump(name="n"))
        await provoke(session, provocation)
        return 1

    app = make_app({Try: handle, Peep: handle}, **options)
    return Courier(app, envelope_of(command or Try()))


async def provoke(session: AsyncSession, provocation: Provocation) -> None:
    """Run statements, separated by semicolons, with the secret for `:secret`, or a function."""
    if callable(provocation):
        await provocation(session)
        return
    for statement in provocation.split(";"):
        parameters: dict[str, Any] = {"secret": SECRET} if ":secret" in statement else {}
        await session.execute(text(statement.strip()), parameters)


def raising(sqlstate: str) -> Provocation:
    """Have the server raise an error that a test cannot bring about in earnest."""

    async def provocation(session: AsyncSession) -> None:
        error = f"USING ERRCODE = '{sqlstate}', DETAIL = 'Key (word)=({SECRET}) is in it'"
        await session.execute(text(f"DO $$ BEGIN RAISE 'raised with {SECRET}' {error}; END $$"))

    return provocation


async def encode_too_large_a_number(session: AsyncSession) -> None:
    """Have asyncpg refuse a parameter, which never reaches the server."""
    await session.execute(text("SELECT CAST(:number AS int)"), {"number": int(SECRET)})


async def go_on_after_an_error(session: AsyncSession) -> None:
    """Swallow an error, which leaves the transaction aborted."""
    try:
        await session.execute(text("SELECT 1 / 0"))
    except Exception:  # noqa: BLE001  # that is the mistake
        await session.execute(text("SELECT 1"))


TWICE = "(3, :secret), (3, :secret)"

REFUSED: dict[str, tuple[str, Provocation, str | None]] = {
    "22000": ("DataError", encode_too_large_a_number, None),
    "22001": ("StringDataRightTruncationError", "UPDATE things SET word = :secret || '!' WHERE id = 2", None),
    "22003": ("NumericValueOutOfRangeError", f"SELECT '{SECRET}'::int", None),
    "22012": ("DivisionByZeroError", "SELECT 1 / 0", None),
    "22P02": ("InvalidTextRepresentationError", "SELECT CAST('x' || :secret AS int)", None),
    "23502": ("NotNullViolationError", "UPDATE things SET must = NULL WHERE word = :secret", "must"),
    "23505": ("UniqueViolationError", "UPDATE things SET word = :secret WHERE id = 2", "word"),
    "23514": ("CheckViolationError", "UPDATE things SET age = -1 WHERE word = :secret", None),
    "23P01": (
        "ExclusionViolationError",
        f"UPDATE things SET span = '[{SECRET},{SECRET}]' WHERE id = 2",  # noqa: S608
        "span",
    ),
    "21000": (
        "CardinalityViolationError",
        f"INSERT INTO things (id, must) VALUES {TWICE} ON CONFLICT (id) DO UPDATE SET age = 1",  # noqa: S608
        None,
    ),
    "54000": ("ProgramLimitExceededError", "SELECT repeat(:secret, 100000000)", None),
    "54023": ("TooManyArgumentsError", f"SELECT concat({','.join(['1'] * 101)})", None),
}
"""By SQLSTATE: the driver's class, what provokes it, the field."""

READ_ONLY = "SET TRANSACTION READ ONLY; UPDATE things SET word = :secret WHERE id = 2"
SORT_ON_DISK = "SELECT count(*) FROM (SELECT g FROM generate_series(1, 100000) AS g ORDER BY -g) AS sorted"

COUNTED: dict[str, Provocation] = {
    "57014": "SET LOCAL statement_timeout = 10; SELECT pg_sleep(10)",
    "55006": "DECLARE c CURSOR FOR SELECT * FROM things; ALTER TABLE things ADD COLUMN more int",
    "53400": f"SET LOCAL temp_file_limit = 0; SET LOCAL work_mem = 64; {SORT_ON_DISK}",
    "42P01": "SELECT * FROM nowhere WHERE word = :secret",
    "42703": "SELECT nothing FROM things WHERE word = :secret",
    "42601": "SELEC 1",
    "42883": "SELECT nothing(:secret)",
    "25P02": go_on_after_an_error,
    "25006": READ_ONLY,
    **{state: raising(state) for state in ("XX000", "08P01", "25P03", "P0001", "0A000", "40003")},
    **{state: raising(state) for state in ("08006", "53100", "53200", "57P01", "57P05", "58000", "58030")},
}
"""By SQLSTATE: slow or unlucky, our bug, or "database away" while the database answers."""
