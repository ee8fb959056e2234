"""`python -m worker`: what an operator asks first, and what is told where something is missing."""

import json
from asyncio import gather
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import NullPool, inspect, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from producers import Producer
from producers.commands import CreateUser
from tests.processes import Process, command_line
from tests.waiting import until
from worker.demo.loopback import HOST, free_port
from worker.monitoring import statistics

NOBODY = f"{HOST}:{free_port()}"
SECRET = "s3cret"
BROKEN_URLS = {
    "DATABASE_URL": [
        f"postgresql+asyncpg://ada:{SECRET}@host:port/name",
        f"oracle://ada:{SECRET}@host/name",
        f"ada:{SECRET}@host/name",
    ],
    "REDIS_URL": [
        f"http://:{SECRET}@host:6379/0",
        f"redis://:{SECRET}@host:port/0",
        f"redis://:{SECRET}@host:6379/name",
    ],
}


@pytest.fixture
def empty(environment: dict[str, str], empty_database_url: str) -> dict[str, str]:
    """The same with a database without tables."""
    return environment | {"DATABASE_URL": empty_database_url}


async def tables(url: str) -> set[str]:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    await engine.dispose()
    return set(names)


async def test_check_is_well_where_all_is_there(environment: dict[str, str]) -> None:
    check = await command_line("check", environment=environment)

    assert (check.returncode, check.stderr) == (0, "")
    assert [line.rsplit(maxsplit=1)[1] for line in check.stdout.splitlines()[:4]] == ["ok"] * 4
    assert "0 at work" in check.stdout


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"REDIS_URL": f"redis://{NOBODY}/0"}, ["redis", "does not answer", "start it, or set REDIS_URL"]),
        (
            {"DATABASE_URL": f"postgresql://ada:{SECRET}@{NOBODY}/name"},
            ["database", "cannot connect", "start it, or set DATABASE_URL"],
        ),
    ],
    ids=["Redis is down", "the database is down"],
)
async def test_check_and_run_say_which_server_is_down(
    missing: dict[str, str], told: list[str], environment: dict[str, str]
) -> None:
    for command in ("check", "run"):
        ended = await command_line(command, environment=environment | missing)
        said = ended.stdout + ended.stderr
        assert ended.returncode == 1
        assert all(part in said for part in told), said
        assert SECRET not in said
        assert "Traceback" not in said


async def test_check_and_run_say_how_to_migrate_and_migrate_does_it(empty: dict[str, str]) -> None:
    for command in ("check", "run"):
        ended = await command_line(command, environment=empty)
        said = ended.stdout + ended.stderr
        assert ended.returncode == 1
        assert "not applied: worker_alembic_version: 0001" in said
        assert "run `python -m worker migrate`" in said

    for told in ("migrated", "nothing to migrate"):
        migrate = await command_line("migrate", environment=empty)
        assert (migrate.returncode, migrate.stdout.splitlines()[-1]) == (0, told)
    assert (await command_line("check", environment=empty)).returncode == 0


async def test_a_redis_that_evicts_is_refused(environment: dict[str, str], own_redis_url: str) -> None:
    async with Redis.from_url(own_redis_url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            for command in ("check", "run"):
                ended = await command_line(command, environment=environment | {"REDIS_URL": own_redis_url})
                said = ended.stdout + ended.stderr
                assert ended.returncode == 1
                assert "maxmemory-policy is allkeys-lru" in said
                assert "redis-cli config set maxmemory-policy noeviction" in said
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("variable", "url"), [(variable, url) for variable, urls in BROKEN_URLS.items() for url in urls]
)
async def test_a_broken_url_is_named_by_its_variable_and_not_shown(
    variable: str, url: str, environment: dict[str, str]
) -> None:
    check = await command_line("check", environment=environment | {variable: url})

    assert check.returncode == 1
    assert check.stderr.startswith(f"crud-worker: {variable}: ")
    assert SECRET not in check.stdout + check.stderr
    assert check.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("check",), ("run",), ("dead", "list")], ids=" ".join)
async def test_a_wrong_password_is_told_without_showing_it(
    command: tuple[str, ...], environment: dict[str, str]
) -> None:
    url = make_url(environment["DATABASE_URL"]).set(password=SECRET).render_as_string(hide_password=False)
    ended = await command_line(*command, environment=environment | {"DATABASE_URL": url})

    said = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "InvalidPasswordError" in said
    assert SECRET not in said
    assert "Traceback" not in said


async def test_a_database_without_tables_is_told_by_every_command_that_needs_them(
    empty: dict[str, str],
) -> None:
    commands = (("status",), ("dead", "list"), ("dead", "retry", "x"), ("dead", "drop", "x"))
    for ended in await gather(*(command_line(*command, environment=empty) for command in commands)):
        assert (ended.returncode, ended.stderr) == (
            1,
            "crud-worker: the database is not migrated; run `python -m worker migrate`\n",
        )


async def test_a_worker_at_work_is_seen_by_check_and_status(environment: dict[str, str]) -> None:
    assert (await command_line("check", "--alive", environment=environment)).returncode == 1

    async with Producer(environment["REDIS_URL"], queue=environment["QUEUE_NAME"]) as producer:
        with Process("run", environment=environment) as worker:
            await (await producer.send(CreateUser(name="ada"))).result(20)
            await producer.send(CreateUser(name="eve"), delay=3600)
            assert (await command_line("check", "--alive", environment=environment)).returncode == 0
            await until(lambda: _has_told(producer))
            status = await command_line("status", "--json", environment=environment)
            told = await command_line("status", environment=environment)
            assert await worker.stop() == 0

    state = json.loads(status.stdout)
    assert state["queue"] == {
        "name": environment["QUEUE_NAME"],
        "due": 0,
        "delayed": 1,
        "in_lanes": 0,
        "parked": 0,
        "oldest_s": 0.0,
    }
    assert [found["slots"] for found in state["workers"]] == [5]
    assert (state["endings_last_hour"], state["dead_letters"]) == ({"applied": 1}, {})
    header, queue, _, _, busy, *rest = told.stdout.splitlines()
    assert header.split()[:4] == ["queue", "due", "running", "delayed"]
    assert queue.split()[:4] == [environment["QUEUE_NAME"], "0", "0", "1"]
    assert busy.split()[1:4] == ["5", "0", "1"]
    assert "endings of the last hour: 1 applied" in rest


async def _has_told(producer: Producer) -> bool:
    """Whether the worker has told of what it finished: it does with its signs of life."""
    return await statistics.endings(producer.redis, producer.keys, seconds=60) != {}


async def test_tables_are_created_and_dropped_without_migrations(empty: dict[str, str]) -> None:
    url = empty["DATABASE_URL"]
    assert (await command_line("tables", "create", environment=empty)).returncode == 0
    assert await tables(url) == {"users", "posts", "profiles", "likes"}

    asked = await command_line("tables", "drop", environment=empty, stdin="n\n")
    assert (asked.returncode, len(await tables(url))) == (1, 4)
    assert (await command_line("tables", "drop", "--yes", environment=empty)).returncode == 0
    assert await tables(url) == set()


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("nowhere.jobs:app", "there is no module 'nowhere'"),
        ("worker.main:application", "there is no such name"),
        ("worker.main:HANDLERS", "that is a dict"),
        (":app", "write MODULE:NAME"),
    ],
)
async def test_an_app_that_is_none_is_told(app: str, told: str, environment: dict[str, str]) -> None:
    check = await command_line("--app", app, "check", environment=environment)

    assert (check.returncode, told in check.stderr) == (1, True)
    assert check.stderr.count("\n") == 1


async def test_an_app_in_the_current_folder_is_found_by_the_environment(environment: dict[str, str]) -> None:
    path = "tests.guarantees.counters_app"
    assert Path(f"{path.replace('.', '/')}.py").exists()  # noqa: ASYNC240  # it is our own source
    assert (await command_line("check", environment=environment | {"WORKER_APP": path})).returncode == 0
    created = await command_line("tables", "create", environment=environment | {"WORKER_APP": path})
    assert (created.returncode, "without metadata" in created.stderr) == (1, True)
