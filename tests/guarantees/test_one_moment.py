"""A read sees one moment: a list that takes two SELECTs neither loses a row nor shows it twice."""

from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from producers.commands import CreateUser, ListUsers
from tests.guarantees.conftest import MakeApp
from worker.models import User
from worker.testing import execute

pytestmark = pytest.mark.databases


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None)])
async def test_a_row_that_is_changed_meanwhile_is_there_once(
    make_app: MakeApp, database: AsyncEngine, before: int | None, after: int | None
) -> None:
    app = make_app()
    await execute(app, CreateUser(name="ada", age=before))
    await execute(app, CreateUser(name="bob", age=2))
    handled = app.handlers[ListUsers]

    async def list_slowly(session: Any, command: Any) -> object:
        """Change ada when the first SELECT is done."""
        execute_it = session.execute
        turns: list[int] = []

        async def executed(*given: Any, **options: Any) -> Any:
            result = await execute_it(*given, **options)
            rows = list(result)
            if not turns:
                turns.append(1)
                async with database.begin() as connection:
                    await connection.execute(update(User).where(User.name == "ada").values(age=after))
            return rows

        session.execute = executed
        return await handled(session, command)

    app.handlers[ListUsers] = list_slowly
    page = await execute(app, ListUsers(order_by="age"))
    assert sorted(user.name or "" for user in page.items) == ["ada", "bob"]
