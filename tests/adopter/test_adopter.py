"""Somebody else's project, by the README's steps alone: their own tables, keys, commands and migrations."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.console import Console

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WORKER = "python -m worker --app shop.jobs:app"
SEND = "python -m producers --commands shop.commands send"
OURS = {"processed_commands", "dead_letters", "outbox", "relays", "feed", "worker_alembic_version"}
ORDER = json.dumps(
    {"login": "ada", "lines": [{"article": "tea", "cents": 300}, {"article": "cup", "cents": 900}]}
)


@pytest.fixture
async def shop(console: Console) -> Console:
    """The project, its tables made by its own Alembic and ours by `migrate`."""
    await console.run("alembic upgrade head")
    await console.run(f"{WORKER} migrate")
    return console


async def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = [tuple(row) for row in await connection.execute(text(query))]
    await engine.dispose()
    return found


async def everything(database_url: str) -> dict[str, Any]:
    """All that the database holds, by table: how it is made, and its rows."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.run_sync(_everything)
    await engine.dispose()
    return found


def _everything(connection: Connection) -> dict[str, Any]:
    found, database = {}, inspect(connection)
    for schema in set(database.get_schema_names()) - {"information_schema"}:
        for table in database.get_table_names(schema):
            described = [
                database.get_columns(table, schema),
                database.get_pk_constraint(table, schema),
                database.get_foreign_keys(table, schema),
                database.get_unique_constraints(table, schema),
                database.get_check_constraints(table, schema),
                database.get_indexes(table, schema),
            ]
            content = connection.execute(text(f'SELECT * FROM "{schema}"."{table}"')).all()  # noqa: S608
            found[f"{schema}.{table}"] = [str(described), sorted(tuple(row) for row in content)]
    return found


def command_id(printed: str) -> str:
    return str(json.loads(printed)["command_id"])


@pytest.mark.parametrize("schema", ["", "crud"])
async def test_migrate_leaves_all_that_was_there_as_it_was(
    console: Console, empty_database_url: str, schema: str
) -> None:
    await console.run("alembic upgrade head")
    before = await everything(empty_database_url)
    assert {"public.users", "public.orders", "public.lines", "public.alembic_version"} == before.keys()

    if schema:
        console.environment["WORKER_SCHEMA"] = schema
    await console.run(f"{WORKER} migrate")
    assert "nothing to migrate" in await console.run(f"{WORKER} migrate")

    after = await everything(empty_database_url)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {f"{schema or 'public'}.{table}" for table in OURS}


async def test_a_command_goes_from_their_shell_to_their_tables(
    shop: Console, empty_database_url: str
) -> None:
    await shop.run(f"{SEND} user.create --login ada")
    await shop.run(f"{WORKER} run --burst")
    await shop.run(f"{SEND} order.create '{ORDER}'")
    await shop.run(f"{WORKER} run --burst")

    assert await rows(empty_database_url, "SELECT id, login FROM users") == [(1, "ada")]
    assert await rows(empty_database_url, "SELECT id, user_id FROM orders") == [(1000, 1)]
    lines = await rows(empty_database_url, "SELECT * FROM lines ORDER BY position")
    assert lines == [(1000, 1, "tea", 300), (1000, 2, "cup", 900)]


async def test_results_come_back_to_their_scripts(shop: Console) -> None:
    shop.environment.update(WORKER_APP="shop.jobs:app", PRODUCER_COMMANDS="shop.commands")
    async with shop.running("python -m worker run"):
        assert "True 1000 [300, 900]" in await shop.run("python -m shop.script")
        send = "python -m producers send"
        changed = await shop.run(f"{send} line.update --order-id 1000 --position 2 --cents 800 --wait")
        assert json.loads(changed) == {"order_id": 1000, "position": 2, "article": "cup", "cents": 800}
        refused = await shop.run(f"{send} line.update --order-id 1000 --position 2 --cents 0 --wait", code=3)
        assert "check_violation" in refused
        refused = await shop.run(f"{send} order.create '{ORDER.replace('ada', 'eve')}' --wait", code=3)
        assert "no_such_user: nobody has this login (field login" in refused


async def test_a_command_that_died_is_read_mended_and_replayed(
    shop: Console, empty_database_url: str
) -> None:
    await shop.run(f"{SEND} user.create --login ada")
    await shop.run(f"{WORKER} run --burst")
    await shop.run(f"{SEND} order.create '{ORDER}'")
    await shop.run(f"{WORKER} run --burst")
    split = command_id(await shop.run(f"{SEND} line.split --order-id 1000 --position 2 --parts 0"))
    await shop.run(f"{WORKER} run --burst")

    listed = await shop.run(f"{WORKER} dead list")
    row = rf"^{split} +dead +line.split +bug +ZeroDivisionError in the handler  "
    assert re.search(row, listed, re.MULTILINE)
    shown = await shop.run(f"{WORKER} dead show {split}")
    assert "shop/worker/handlers.py" in shown
    assert "divmod(line.cents, command.parts)" in shown

    await shop.run(f"{WORKER} dead retry {split} --set parts=3")
    await shop.run(f"{WORKER} run --burst")
    lines = await rows(empty_database_url, "SELECT position, cents FROM lines ORDER BY position")
    assert lines == [(1, 300), (2, 300), (3, 300), (4, 300)]
    assert "no letters" in await shop.run(f"{WORKER} dead list")
    assert "resolved" in await shop.run(f"{WORKER} dead list --state resolved")


async def test_the_workers_tables_can_live_in_a_schema_of_their_own(
    console: Console, empty_database_url: str
) -> None:
    console.environment["WORKER_SCHEMA"] = "crud"
    await console.run("alembic upgrade head")
    await console.run(f"{WORKER} migrate")
    await console.run(f"{SEND} user.create --login ada")
    await console.run(f"{SEND} line.split --order-id 1 --position 1 --parts 1")
    await console.run(f"{WORKER} run --burst")

    assert await rows(empty_database_url, "SELECT login FROM users") == [("ada",)]
    endings = await rows(empty_database_url, "SELECT kind, ending FROM crud.processed_commands ORDER BY kind")
    assert endings == [("line.split", "dead"), ("user.create", "applied")]
    assert "1 dead" in await console.run(f"{WORKER} status")


async def test_arqs_own_command_runs_it_too(shop: Console, empty_database_url: str) -> None:
    await shop.run(f"{SEND} user.create --login ada")
    await shop.run("arq shop.jobs.WorkerSettings --burst")
    assert await rows(empty_database_url, "SELECT login FROM users") == [("ada",)]


async def test_it_runs_on_an_engine_of_theirs(shop: Console, empty_database_url: str) -> None:
    del shop.environment["DATABASE_URL"]
    shop.environment["SHOP_DATABASE"] = empty_database_url
    worker = "python -m worker --app shop.own_engine:app"
    await shop.run(f"{SEND} user.create --login ada")
    log = await shop.run(f"{worker} run --burst")
    assert await rows(empty_database_url, "SELECT login FROM users") == [("ada",)]
    assert '"slots": 3' in log  # as many as the pool has connections
    assert "1 applied" in await shop.run(f"{worker} status")


async def test_migrate_runs_their_migrations_too_if_they_want_it(
    console: Console, empty_database_url: str
) -> None:
    printed = await console.run("python -m worker --app shop.one_migrate:app migrate")
    assert "alembic_version: 0001 (Users, orders and lines)" in printed
    assert "0001 (head)" in await console.run("alembic current")
    assert await rows(empty_database_url, "SELECT * FROM orders") == []


async def test_tables_are_made_from_their_models(console: Console, empty_database_url: str) -> None:
    printed = await console.run(f"{WORKER} tables create")
    assert "users" in printed
    assert await rows(empty_database_url, "SELECT * FROM lines") == []
    await console.run(f"{WORKER} tables drop --yes")
    assert await everything(empty_database_url) == {}


async def test_their_tests_run_commands_through_the_executor_without_redis(shop: Console) -> None:
    shop.environment["REDIS_URL"] = "redis://localhost:1/0"
    assert "3 passed" in await shop.run("python -m pytest -q -W error -p no:randomly tests/test_shop.py")


async def test_a_handlers_bug_is_shown_to_their_test(shop: Console) -> None:
    (shop.folder / "bug.py").write_text(
        "import asyncio\n"
        "from shop.commands import CreateOrder, CreateUser, NewLine, SplitLine\n"
        "from shop.jobs import app\n"
        "from worker.testing import execute\n"
        "asyncio.run(execute(app, CreateUser(login='ada')))\n"
        "tea = NewLine(article='tea', cents=1)\n"
        "order = asyncio.run(execute(app, CreateOrder(login='ada', lines=(tea,))))\n"
        "asyncio.run(execute(app, SplitLine(order_id=order.id, position=1, parts=0)))\n"
    )
    printed = await shop.run("python bug.py", code=1)
    assert "line.split would be run again, because of this:" in printed
    assert "share, rest = divmod(line.cents, command.parts)" in printed
