"""No screen costs more with the history: by PostgreSQL's own account, over a large one."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from worker.dashboard.search import LIMIT, WINDOW, Cursor, Search, end_of_window, page_of
from worker.tables import worker_tables

ROWS, TABLES = 200_000, worker_tables(None)
MIDDLE = Cursor(datetime(2026, 1, 2, tzinfo=UTC), UUID(int=5))

_FILL = """
    INSERT INTO processed_commands (command_id, kind, fingerprint, ending, ended_at, entity)
    SELECT lpad(to_hex(n), 32, '0')::uuid, CASE WHEN n % 5000 = 0 THEN 'rare.kind' ELSE 'user.update' END, '',
           CASE WHEN n % 100 = 0 THEN 'rejected' ELSE 'applied' END,
           timestamptz '2026-01-01' + n * interval '1 second', 'user:' || n % 10
    FROM generate_series(1, :rows) AS n
"""


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


async def _rows_read(connection: AsyncConnection, statement: Select[Any]) -> int:
    """The rows that scans have read, those included that a filter removed; none may be of the whole table."""
    sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    found = await connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"))
    [explained] = json.loads(found) if isinstance(found, str) else found
    return _scanned(explained["Plan"])


def _scanned(plan: dict[str, Any]) -> int:
    assert plan["Node Type"] != "Seq Scan", plan
    if "Scan" in plan["Node Type"] and "Plans" not in plan:
        removed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        return int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return sum(_scanned(part) for part in plan.get("Plans", []))
