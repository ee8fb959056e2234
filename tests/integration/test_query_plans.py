"""A page deep in a large table reads no more rows than the first: by PostgreSQL's own account."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from producers.commands import ListUsers
from worker.handlers.selects import Selects
from worker.handlers.user import users
from worker.models import User

ROWS = 1_000_000
DEEP = 900_000
ORDERS = [(), ("-id",), ("username",), ("-username",)]

_FILL = """
    INSERT INTO users (id, name, username, age)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'x',
           CASE WHEN n % 1000 > 0 THEN 'user-' || lpad(n::text, 8, '0') END, n % 90
    FROM generate_series(1, :rows) AS n
"""


@pytest.mark.timeout(300)
async def test_a_deep_page_reads_as_many_rows_as_the_first(session: AsyncSession) -> None:
    await session.execute(text(_FILL), {"rows": ROWS})
    await session.execute(text("ANALYZE users"))
    for order_by in ORDERS:
        first = ListUsers(order_by=order_by, limit=100)
        number = ROWS - DEEP if "".join(order_by).startswith("-") else DEEP
        by_name = ["username"] if "username" in "".join(order_by) else []
        values: list[Any] = [*(f"user-{number:08}" for _ in by_name), UUID(int=number)]
        deep = first.model_copy(update={"cursor": first.cursor_behind(values)})
        assert await _rows_read(session, first) == await _rows_read(session, deep) <= 105, order_by


async def _rows_read(session: AsyncSession, command: ListUsers) -> int:
    """The rows that scans of the first SELECT of a page have read, those included that a filter removed."""
    shown = [users.table.c[name] for name in users.shape.columns]
    statement = next(Selects(User, shown, "postgresql").ordered(command)).limit(command.limit + 1)
    sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    found = await session.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"))
    [explained] = json.loads(found) if isinstance(found, str) else found
    return _scanned(explained["Plan"])


def _scanned(plan: dict[str, Any]) -> int:
    if "Scan" in plan["Node Type"]:
        removed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        return int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
    return sum(_scanned(part) for part in plan.get("Plans", []))
