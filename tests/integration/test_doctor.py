"""`python -m worker doctor`: what is set in a way that will hurt, and how it is mended."""

import json
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.processes import Process, command_line, environment_of
from worker.demo.servers import PostgresServer, RedisServer
from worker.doctor import clocks
from worker.doctor.database import connections, limits, of_mariadb, safeguards
from worker.doctor.redis import memory, persistence, role
from worker.doctor.setting import unknown_settings
from worker.health import Check

NOBODY = "127.0.0.1:1"
IN_TESTS = {"fsync", "full_page_writes"}
"""Off on the servers that tests start: a machine that crashes may lose what tests have written."""
WELL = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "in_recovery": "false"}


async def examined(environment: dict[str, str]) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and what is told of each thing; of several of one name, of the last."""
    ended = await command_line("doctor", "--json", environment=environment)
    assert "Traceback" not in ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended.returncode, {one["name"]: one for one in found}


async def execute(url: str, *statements: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


def state(check: Check) -> str:
    return "problem" if check.problem else "warning" if check.warning else "ok"


async def test_it_looks_at_all_and_says_what_there_is(environment: dict[str, str]) -> None:
    with Process("run", environment=environment) as worker:
        await worker.says("worker.started")
        ended = await command_line("doctor", environment=environment)
        _, found = await examined(environment)
        assert await worker.stop() == 0

    lines = {line.split("  ")[0]: line for line in ended.stdout.splitlines()}
    assert "Python 3." in lines["versions"]
    assert "SQLAlchemy 2." in lines["versions"]
    assert "PostgreSQL" in lines["database server"]
    assert lines["workers"].split() == ["workers", "ok", "1", "at", "work"]
    well = {"settings", "versions", "redis version", "redis eviction", "migrations", "redis server", "clocks"}
    assert {found[name]["state"] for name in well | {"slots", "statement_timeout"}} == {"ok"}
    assert found["slots"]["found"] == "5 in a process"
    assert "this host +0.0 s" in found["clocks"]["found"]


async def test_where_nothing_will_hurt_the_exit_code_is_0(redis_url: str, queue_name: str) -> None:
    with PostgresServer(tcp=True) as durable:
        environment = environment_of(durable.url, redis_url, queue_name)
        assert (await command_line("migrate", environment=environment)).returncode == 0
        code, found = await examined(environment)
    assert code == 0
    assert {found[name]["state"] for name in ("fsync", "full_page_writes", "connections")} == {"ok"}


async def test_a_server_that_may_forget_is_a_problem_and_the_exit_code_says_so(
    environment: dict[str, str],
) -> None:
    url = environment["DATABASE_URL"]
    name = url.rpartition("/")[2]
    await execute(url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    ended = await command_line("doctor", environment=environment)

    assert ended.returncode == 1
    [told] = [line for line in ended.stdout.splitlines() if line.startswith("synchronous_commit")]
    assert told.split()[1] == "problem"
    assert "set synchronous_commit = on" in told


async def test_what_is_misspelt_too_short_or_too_small_is_a_warning(environment: dict[str, str]) -> None:
    url = environment["DATABASE_URL"]
    await execute(url, f"""ALTER DATABASE "{url.rpartition("/")[2]}" SET statement_timeout = '2s'""")
    wrong = {"WORKER_CONCURENCY": "5", "WORKER_POOL_SIZE": "2", "QUEUE_1234567": "1"}
    ended = await command_line("doctor", environment=environment | wrong)
    _, found = await examined(environment | wrong)

    assert "WORKER_CONCURENCY is set, and is no setting; did you mean WORKER_CONCURRENCY?" in ended.stdout
    assert "QUEUE_1234567 is set, and is no setting; unset it" in ended.stdout
    assert "2 s, less than WORKER_JOB_TIMEOUT (5 s)" in found["statement_timeout"]["found"]
    assert found["slots"]["found"].startswith("2 and not 5 (WORKER_CONCURRENCY)")
    assert found["workers"]["found"] == "none is at work on this queue"
    assert {found[name]["state"] for name in ("statement_timeout", "slots", "workers")} == {"warning"}
    assert all(one["mend"] for one in found.values() if one["state"] != "ok")


@pytest.mark.parametrize(
    ("missing", "variable", "url", "left_out"),
    [
        ("redis", "REDIS_URL", f"redis://{NOBODY}/0", {"redis server", "clocks", "workers"}),
        ("database", "DATABASE_URL", f"postgresql://ada:s3cret@{NOBODY}/name", {"database server", "clocks"}),
    ],
    ids=["Redis", "the database"],
)
async def test_what_does_not_answer_is_a_problem_and_the_rest_is_looked_at(
    missing: str, variable: str, url: str, left_out: set[str], environment: dict[str, str]
) -> None:
    code, found = await examined(environment | {variable: url, "QUEUE_REDIS_RETRIES": "0"})
    assert code == 1
    assert not left_out & set(found)
    assert {name for name, one in found.items() if one["state"] == "problem"} - IN_TESTS == {missing}
    assert "versions" in found
    assert "s3cret" not in str(found)


@pytest.fixture
async def odd_redis(own_redis_url: str, own_redis: RedisServer) -> AsyncIterator[Redis]:
    """A Redis whose settings the test may change."""
    async with Redis.from_url(own_redis_url) as redis:
        yield redis
    own_redis.stop()
    own_redis.start()


async def test_a_redis_that_forgets_or_is_nearly_full_is_told(
    odd_redis: Redis, own_redis_url: str, environment: dict[str, str]
) -> None:
    there = environment | {"REDIS_URL": own_redis_url}
    _, found = await examined(there)
    assert found["redis on disk"]["found"].startswith("append-only file")

    await odd_redis.config_set("appendfsync", "no")
    used = (await odd_redis.info("memory"))["used_memory"]
    await odd_redis.config_set("maxmemory", int(used * 1.02))
    code, found = await examined(there)
    assert code == 1
    assert found["redis on disk"]["state"] == "warning"
    assert "config set appendfsync everysec" in found["redis on disk"]["mend"]
    assert "sends are refused (QUEUE_HEADROOM)" in found["redis memory"]["found"]

    await odd_redis.config_set("maxmemory", 0)
    await odd_redis.config_set("appendonly", "no")
    await odd_redis.config_set("save", "")
    _, found = await examined(there)
    assert found["redis on disk"]["found"] == "keeps nothing: a restart loses what was sent directly"
    assert "config set appendonly yes" in found["redis on disk"]["mend"]


@pytest.mark.databases("mariadb", "sqlite")
async def test_other_databases_are_looked_at_too(environment: dict[str, str], database_kind: str) -> None:
    _, found = await examined(environment)
    assert found["slots"]["state"] in {"ok", "warning"}
    assert ("connections" in found) == (database_kind == "mariadb")
    assert ("database server" in found) == (database_kind == "mariadb")


@pytest.mark.parametrize(
    ("check", "judged", "told"),
    [
        (clocks({"this host": 0, "Redis": 0.2, "the database": -0.3}), "ok", "Redis +0.2 s"),
        (clocks({"this host": 0, "Redis": 0.2, "the database": 1.5}), "warning", "the database +1.5 s"),
        (clocks({"this host": 0, "Redis": 0, "the database": 400}), "problem", "taken for too old"),
        (connections(2, 20, 97), "ok", "2 processes of 20, 97 let in"),
        (connections(4, 20, 97), "warning", "4 processes of 20, 97 let in"),
        (connections(5, 20, 97), "problem", "some will be refused"),
        (safeguards(WELL | {"fsync": "off"})[0], "problem", "may lose or damage"),
        (safeguards(WELL | {"full_page_writes": "off"})[1], "problem", "may damage"),
        (safeguards(WELL | {"in_recovery": "true"})[-1], "problem", "is a replica"),
        (safeguards(WELL)[-1], "ok", "primary"),
        (limits({"idle_in_transaction_session_timeout": "1000"}, 30)[-1], "warning", "1 s, less than"),
        (limits({"statement_timeout": "60000"}, 30)[0], "ok", "60 s"),
        (limits({}, 30)[0], "ok", "none"),
        (of_mariadb({"innodb_flush_log_at_trx_commit": "2", "read_only": "OFF"})[0], "problem", "may lose"),
        (of_mariadb({"innodb_flush_log_at_trx_commit": "1", "read_only": "ON"})[1], "problem", "read-only"),
        (role({"role": "slave"}), "problem", "is a replica"),
        (persistence({"rdb_last_bgsave_status": "err"}, {}), "problem", "could not write a snapshot"),
        (persistence({"aof_last_write_status": "err"}, {}), "problem", "its append-only file"),
        (persistence({}, {"save": "60 1000"}), "warning", "keeps snapshots only"),
        (persistence({"aof_enabled": 1}, {}), "ok", "append-only file"),
        (persistence({"aof_enabled": 1}, {"appendfsync": "always"}), "ok", "a crash loses nothing"),
        (memory({"used_memory": 2**20}, 0.1), "ok", "1 MiB used"),
        (memory({"used_memory": 85, "maxmemory": 100}, 0.1), "warning", "(maxmemory)"),
        (memory({"used_memory": 95, "total_system_memory": 100}, 0.1), "warning", "(of the machine)"),
    ],
)
def test_each_is_judged(check: Check, judged: str, told: str) -> None:
    assert state(check) == judged
    assert told in (check.problem or check.warning or check.found)
    assert check.mend or judged == "ok"


def test_what_is_not_set_to_us_is_none_of_our_business() -> None:
    ours = dict.fromkeys(("WORKER_APP", "PRODUCER_COMMANDS", "QUEUE_NAME", "WORKER_SCHEMA", "REDIS_URL"), "")
    assert [check.warning for check in unknown_settings({"PATH": "", **ours})] == [""]
