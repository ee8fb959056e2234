"""No screen costs more with the history: by PostgreSQL's own account, over a large one."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, delete, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from producers import Producer
from tests.dashboard.conftest import Browser, board_of, form_word, links, rejected
from tests.guarantees.conftest import Drain
from tests.integration.statements import sent_statements
from worker.app import App
from worker.dashboard import failures
from worker.dashboard.search import LIMIT, WINDOW, Cursor, Search, end_of_window, page_of
from worker.tables import worker_tables

ROWS, TABLES = 200_000, worker_tables(None)
WAITING, AT_ONCE = 3000, 20
"""Letters that wait, and those that are acted upon at once."""
OF_ONE = 6
"""Statements that an act on one letter takes, and rows that they read."""
MIDDLE = Cursor(datetime(2026, 1, 2, tzinfo=UTC), UUID(int=5))

_FILL = """
    INSERT INTO processed_commands (command_id, kind, fingerprint, ending, ended_at, entity)
    SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n % 5000 = 0 THEN 'rare.kind' ELSE 'user.update' END, '',
           CASE WHEN n % 100 = 0 THEN 'rejected' ELSE 'applied' END,
           timestamptz '2026-01-01' + n * interval '1 second', 'user:' || n % 10
    FROM generate_series(1, :rows) AS n
"""

_COPY = {"command_id": "lpad(to_hex(n), 32, '0')::uuid"}
_SOME_WAIT = {"state": f"CASE WHEN n <= {WAITING} THEN state ELSE 'resolved' END"}


@pytest.mark.timeout(300)
async def test_a_page_reads_a_bounded_number_of_rows_by_an_index(database: AsyncEngine) -> None:
    async with database.connect() as connection:
        await connection.execute(text(_FILL), {"rows": ROWS})
        await connection.execute(text("ANALYZE processed_commands"))
        for before in (None, MIDDLE):
            newest = page_of(TABLES, Search(before=before))
            of_row = page_of(TABLES, Search(entity="user:7", before=before))
            assert await _rows_read(connection, newest) <= LIMIT + 5, before
            assert await _rows_read(connection, of_row) <= LIMIT + 5, before
            for wanted in (Search(kind="rare.kind", before=before), Search(ending="dead", before=before)):
                for statement in (page_of(TABLES, wanted), end_of_window(TABLES, wanted)):
                    assert await _rows_read(connection, statement) <= WINDOW + 5, wanted


@pytest.fixture
async def waiting(producer: Producer, drain: Drain, app: App, database: AsyncEngine) -> list[str]:
    """The ids of so many letters of one group that wait, among many that wait no more."""
    [first] = await rejected(producer, "ada")
    await drain(app)
    dead, processed = TABLES.dead_letters, TABLES.processed_commands
    async with database.begin() as connection:
        for table, others in ((processed, _COPY), (dead, _COPY | _SOME_WAIT)):
            values = [text(others.get(column.name, column.name)) for column in table.columns]
            copies = select(*values).select_from(table, text(f"generate_series(1, {ROWS}) AS n"))
            of_first = copies.where(table.c.command_id == UUID(first))
            await connection.execute(insert(table).from_select(table.columns.keys(), of_first))
        await connection.execute(delete(dead).where(dead.c.command_id == UUID(first)))
        await connection.execute(text("ANALYZE processed_commands, dead_letters"))
    return [str(UUID(int=number)) for number in range(1, WAITING + 1)]


@pytest.mark.timeout(300)
async def test_an_act_costs_by_what_waits_and_what_is_chosen(
    browser: Browser, waiting: list[str], database: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST", AT_ONCE)
    [at] = links((await browser.get("/failures")).text, "/failures/")
    whole = {"group": at.rpartition("/")[2]}

    async def cost(path: str, told: str, **form: object) -> tuple[int, int]:
        """How many statements it took, and the rows that these read."""
        with sent_statements(board_of(browser).app.engine) as sent:
            form["form_word"] = await form_word(browser)
            page = (await browser.post(path, data=form, follow_redirects=False)).text
            assert told in page
        async with database.connect() as connection:
            return len(sent), sum([await _rows_of(connection, *one) for one in sent])

    for action, done in (("retry", "retried"), ("drop", "dropped")):
        for ids in (waiting[-1:], waiting[-AT_ONCE:]):
            asked = await cost("/failures/confirm", f"Write {len(ids)} to go on", action=action, id=ids)
            assert asked == (0, 0)
        statements, rows = await cost("/failures/confirm", "more of the group stay", action=action, **whole)
        assert statements == 2
        assert rows <= 2 * WAITING + 5

        one, few = [waiting.pop()], [waiting.pop() for _ in range(AT_ONCE)]
        statements, rows = await cost("/failures/act", "", action=action, count=1, id=one)
        assert statements <= OF_ONE
        assert rows <= OF_ONE
        for chosen, finding in (({"id": few}, 0), (whole, 2)):
            form = {"action": action, "count": AT_ONCE, **chosen}
            statements, rows = await cost("/failures/act", f"{AT_ONCE} {done}", **form)
            assert statements <= finding + AT_ONCE * OF_ONE
            assert rows <= finding * WAITING + 5 + AT_ONCE * OF_ONE


async def _rows_read(connection: AsyncConnection, statement: Select[Any]) -> int:
    """The rows that scans have read, those included that a filter removed; none may be of the whole table."""
    sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    return await _rows_of(connection, str(sql), ())


async def _rows_of(connection: AsyncConnection, sql: str, parameters: tuple[Any, ...]) -> int:
    """The same of a statement as it was sent; what it writes is undone."""
    async with connection.begin_nested() as undone:
        explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        found = explained.scalar_one()
        await undone.rollback()
    [plan] = json.loads(found) if isinstance(found, str) else found
    return _scanned(plan["Plan"])


def _scanned(plan: dict[str, Any]) -> int:
    assert plan["Node Type"] != "Seq Scan", plan
    if "Scan" in plan["Node Type"] and "Plans" not in plan:
        removed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        return int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return sum(_scanned(part) for part in plan.get("Plans", []))
