"""What failed, as a person looks into it: groups of one error at one place, pages of letters, and choices."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from worker.failures import Choice, Cursor, chosen, group, groups, page
from worker.tables import worker_tables

TABLES = worker_tables(None)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TAKEN = {"kind": "user.create", "code": "unique_violation", "error_class": "UniqueViolationError"}
BUG = {"kind": "post.create", "code": "bug", "error_class": "KeyError", "place": "handlers/post.py, create"}

every_database = pytest.mark.databases

_FILL = """
    INSERT INTO dead_letters (command_id, queue, kind, state, body, error_class, code, message, traceback,
                              place, attempts, died_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'crud', 'user.create',
           CASE WHEN n <= :waiting THEN 'dead' ELSE 'resolved' END, repeat('b', 300)::bytea, 'KeyError',
           'bug', 'it failed', repeat('t', 1000), 'handlers/user.py, ' || n % 7, 6,
           now() - n * interval '1 second'
    FROM generate_series(1, :rows) AS n
"""


def at(number: int) -> datetime:
    """The minute of a number, from the beginning."""
    return BEGIN + timedelta(minutes=number)


def letter(number: int, **values: Any) -> dict[str, Any]:
    """A letter that died in the minute of its number; the later it was accepted, the earlier it died."""
    plain = {
        "queue": "crud",
        "state": "rejected",
        "body": b"{}",
        "message": "it failed",
        "traceback": "a trace",
    }
    times = {"accepted_at": at(-number), "died_at": at(number)}
    return {"command_id": UUID(int=number), **plain, "place": "", "attempts": 1, **times, **values}


@pytest.fixture
async def letters(session: AsyncSession) -> list[UUID]:
    """Two users whose name is taken, a post that died of a bug, and three letters that wait for nobody."""
    rows = [
        letter(1, **TAKEN),
        letter(2, **BUG, state="dead"),
        letter(3, **TAKEN),
        letter(4, **TAKEN, state="retrying"),
        letter(5, **TAKEN, state="resolved"),
        letter(6, **BUG, state="dropped"),
    ]
    await session.execute(insert(TABLES.dead_letters), rows)
    return [row["command_id"] for row in rows]


@every_database
@pytest.mark.usefixtures("letters")
async def test_groups_count_what_waits_for_a_person_by_kind_error_and_place(session: AsyncSession) -> None:
    taken, bug = await groups(session, TABLES)

    assert [*taken] == [*TAKEN.values(), "", 2, at(1), at(3)]
    assert [*bug] == [*BUG.values(), 1, at(2), at(2)]
    assert await groups(session, TABLES, Choice(kind="post.create")) == [bug]
    assert await groups(session, TABLES, Choice(place="nowhere")) == []


@every_database
async def test_a_group_is_found_by_its_name_as_long_as_something_of_it_waits(
    session: AsyncSession, letters: list[UUID]
) -> None:
    taken, bug = await groups(session, TABLES)
    assert len({taken.id, bug.id}) == 2
    assert await group(session, TABLES, bug.id) == bug

    table = TABLES.dead_letters
    await session.execute(table.delete().where(table.c.command_id == letters[0]))
    still = await group(session, TABLES, taken.id)
    assert still is not None
    assert (still.size, still.first_at) == (1, at(3))
    assert await group(session, TABLES, "00000000") is None


@every_database
async def test_the_letters_of_a_group_are_listed_the_latest_first_without_what_may_hold_values(
    session: AsyncSession, letters: list[UUID]
) -> None:
    taken, _ = await groups(session, TABLES)
    listed = await page(session, TABLES, taken.choice)

    assert [row.command_id for row in listed.letters] == [letters[2], letters[0]]
    assert listed.next is None
    assert not {"body", "traceback"} & set(listed.letters[0]._mapping)
    retrying = await page(session, TABLES, Choice(states=("retrying",)))
    assert [row.command_id for row in retrying.letters] == [letters[3]]


@every_database
async def test_pages_follow_each_other_also_where_many_died_at_one_moment(session: AsyncSession) -> None:
    rows = [letter(number, **TAKEN, died_at=at(number // 4)) for number in range(1, 12)]
    await session.execute(insert(TABLES.dead_letters), rows)

    found: list[int] = []
    after: Cursor | None = None
    while after is not None or not found:
        listed = await page(session, TABLES, after=after, limit=3)
        assert len(listed.letters) <= 3
        found += [row.command_id.int for row in listed.letters]
        after = listed.next
    assert found == [*range(11, 0, -1)]


@every_database
async def test_all_of_a_choice_are_in_the_order_of_their_acceptance(
    session: AsyncSession, letters: list[UUID]
) -> None:
    assert await chosen(session, TABLES) == [letters[2], letters[1], letters[0]]
    assert await chosen(session, TABLES, Choice(code="unique_violation")) == [letters[2], letters[0]]
    assert await chosen(session, TABLES, Choice(error_class="KeyError", kind="user.create")) == []


async def test_looking_into_failures_reads_those_that_wait_and_none_of_the_others(
    session: AsyncSession,
) -> None:
    waiting, done = 2_000, 40_000
    await session.execute(text(_FILL), {"waiting": waiting, "rows": waiting + done})
    await session.execute(text("ANALYZE dead_letters"))
    before = await _rows_read(session)

    [*found] = await groups(session, TABLES)
    assert sum(one.size for one in found) == waiting
    assert await _rows_read(session) - before <= waiting

    before = await _rows_read(session)
    listed = await page(session, TABLES, found[0].choice)
    assert len((await page(session, TABLES, found[0].choice, after=listed.next)).letters) == 100
    assert await _rows_read(session) - before <= 2 * waiting


async def _rows_read(session: AsyncSession) -> int:
    """How many letters this transaction has read, by PostgreSQL's own account."""
    read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'dead_letters'"
    return int((await session.execute(text(read))).scalar_one())
