"""/livez says whether a worker makes progress, /readyz whether it can; both answer whatever has happened."""

import os
import signal
import socket
from pathlib import Path

import pytest
from sqlalchemy import text

from producers import Producer
from producers.commands import CreateUser
from tests.databases import engine_on
from tests.integration.watched import Watched, watched
from tests.integration.watched_app import PATH, Block, Fork, Hang, Wait
from tests.processes import command_line, environment_of
from tests.waiting import until
from worker.demo.servers import PostgresServer, RedisServer
from worker.monitoring.progress import PATIENCE

OURS = {"WORKER_APP": PATH}
PROGRESS = "crud_worker_last_progress_timestamp_seconds"


async def ready(worker: Watched) -> None:
    async def is_ready() -> bool:
        return await worker.status("/readyz") == 200

    await until(is_ready)


async def is_running(worker: Watched) -> bool:
    return await worker.value("crud_worker_commands_running") == 1


async def becomes(worker: Watched, path: str, problem: str) -> str:
    """Wait until a check finds that problem; return how it is told."""

    async def is_so() -> bool:
        return problem in await worker.problems(path)

    await until(is_so)
    assert await worker.status(path) == 503
    return (await worker.problems(path))[problem]


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_worker_that_works_is_alive_and_ready(processes: str, environment: dict[str, str]) -> None:
    async with watched("--processes", processes, environment=environment) as worker:
        await ready(worker)
        assert await worker.status("/livez") == 200
        assert (await worker.client.head("/livez")).content == b""
        assert await worker.status("/") == 404


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_blocked_event_loop_is_told_while_it_is_blocked(
    processes: str, environment: dict[str, str], producer: Producer
) -> None:
    async with watched("--processes", processes, environment=environment | OURS) as worker:
        await ready(worker)
        await producer.send(Block(seconds=25))
        told = await becomes(worker, "/livez", "progress")
        assert "blocks" in told
        assert await worker.status("/readyz") == 503
        assert await worker.status("/metrics") == 200
        worker.process.send(signal.SIGKILL)
        await worker.process.end()


async def test_a_process_that_was_killed_is_not_waited_for_though_what_it_forked_lives_on(
    environment: dict[str, str], producer: Producer, tmp_path: Path
) -> None:
    async with watched("--processes", "2", environment=environment | OURS) as worker:
        await ready(worker)
        receipt = await producer.send(Fork(path=str(tmp_path / "end")))
        os.kill(await receipt.result(20), signal.SIGKILL)
        await worker.process.says('"worker.started"', times=3)
        assert await worker.value("crud_worker_processes") == 2
        (tmp_path / "end").touch()


@pytest.mark.slow
async def test_an_engine_that_hangs_is_told_though_the_loop_turns(
    environment: dict[str, str], producer: Producer
) -> None:
    async with watched(environment=environment | OURS) as worker:
        await ready(worker)
        await producer.send(Hang())
        assert "its engine has not looked" in await becomes(worker, "/livez", "progress")

        async def is_told() -> bool:
            check = await command_line("check", environment=environment | OURS)
            return "its engine has not looked" in check.stdout

        await until(is_told)
        check = await command_line("check", "--alive", environment=environment | OURS)
        assert check.returncode == 1
        worker.process.send(signal.SIGKILL)
        await worker.process.end()


@pytest.mark.slow
async def test_a_worker_whose_slots_are_all_taken_is_alive(
    environment: dict[str, str], producer: Producer, tmp_path: Path
) -> None:
    settings = OURS | {"WORKER_CONCURRENCY": "1", "WORKER_JOB_TIMEOUT": "40"}
    async with watched(environment=environment | settings) as worker:
        await ready(worker)
        receipt = await producer.send(Wait(path=str(tmp_path / "go on")))
        await until(lambda: is_running(worker))
        first = await worker.value(PROGRESS)

        async def still_looks() -> bool:
            assert await worker.problems("/livez") == {}
            return await worker.value(PROGRESS) > first + PATIENCE

        await until(still_looks)
        assert await is_running(worker)
        (tmp_path / "go on").touch()
        await receipt.result(20)


@pytest.mark.slow
async def test_a_redis_that_is_away_is_told_by_readyz_and_is_no_reason_to_restart_a_worker(
    database_url: str, own_redis: RedisServer, own_redis_url: str, queue_name: str
) -> None:
    environment = environment_of(database_url, own_redis_url, queue_name)
    async with watched(environment=environment) as worker:
        await ready(worker)
        own_redis.stop()
        assert "does not answer" in await becomes(worker, "/readyz", "redis")
        assert await worker.status("/livez") == 200
        assert await worker.value("crud_worker_server_up", server="redis") == 0
        assert await worker.value("crud_worker_server_up", server="database") == 1
        own_redis.start()
        await ready(worker)


@pytest.mark.slow
async def test_a_database_that_is_away_is_told_and_so_is_the_breaker(
    own_database_url: str, own_postgres: PostgresServer, redis_url: str, queue_name: str, producer: Producer
) -> None:
    async with watched(environment=environment_of(own_database_url, redis_url, queue_name)) as worker:
        await ready(worker)
        own_postgres.stop()
        receipt = await producer.send(CreateUser(username="ada"))
        await becomes(worker, "/readyz", "breaker")
        told = await becomes(worker, "/readyz", "database")
        assert "cannot connect" in told
        assert "password" not in told
        assert await worker.status("/livez") == 200
        assert await worker.value("crud_worker_breaker_open") == 1
        own_postgres.start()
        await receipt.result(30)
        await ready(worker)
        assert await worker.value("crud_worker_breaker_open") == 0


async def test_migrations_that_are_missing_are_told(environment: dict[str, str], database_url: str) -> None:
    async with watched(environment=environment) as worker:
        await ready(worker)
        engine = engine_on(database_url)
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM worker_alembic_version"))
        await engine.dispose()
        assert "not applied" in await becomes(worker, "/readyz", "migrations")
        assert await worker.status("/livez") == 200


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_an_address_in_use_is_told_at_the_start(processes: str, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        run = await command_line("run", "--processes", processes, "--http", address, environment=environment)

    assert run.returncode == 1
    assert f"WORKER_HTTP: {address}: Address already in use" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("address", ["9464", "localhost", "localhost:http", "localhost:99999"])
async def test_an_address_that_is_none_is_told(address: str, environment: dict[str, str]) -> None:
    by_option = await command_line("run", "--http", address, environment=environment)
    by_variable = await command_line("run", environment=environment | {"WORKER_HTTP": address})
    assert (by_option.returncode, by_variable.returncode) == (2, 1)
    for said in (by_option.stderr, by_variable.stderr):
        assert "write HOST:PORT, such as 127.0.0.1:9464" in said
    assert "WORKER_HTTP" in by_variable.stderr
