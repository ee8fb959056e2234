"""The proxy that tests of faults put before a server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.proxy import Proxy, Way
from worker.demo.loopback import HOST, free_port


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    """A server that answers every line with the same line in capitals."""
    served: set[asyncio.Task[None]] = set()

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        with suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line.upper())
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(shout, HOST, 0)
    yield server.sockets[0].getsockname()
    server.close()
    await asyncio.gather(*served)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before such a server."""
    async with serving() as address, Proxy(*address) as between:
        yield between


@dataclass(frozen=True)
class Client:
    """One connection to the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await self.reader.readline()


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection(proxy.host, proxy.port))
    try:
        yield client
    finally:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


async def test_forwards_both_ways(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask(b"one\n") == b"ONE\n"
        assert await client.ask(b"two\n") == b"TWO\n"
        assert proxy.connections == 1


async def test_cut_closes_what_is_open_and_takes_new_connections(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"one\n")
        proxy.cut()
        assert await client.reader.read() == b""
    async with connected(proxy) as again:
        assert await again.ask(b"two\n") == b"TWO\n"


async def test_refuse_turns_new_connections_away_until_accept(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.ask(b"one\n")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)
        assert await client.ask(b"two\n") == b"TWO\n"
        proxy.accept()
        async with connected(proxy) as again:
            assert await again.ask(b"three\n") == b"THREE\n"


@pytest.mark.parametrize("hold", [Proxy.blackhole, Proxy.pause_replies])
async def test_held_bytes_arrive_after_resume(proxy: Proxy, hold: Callable[[Proxy], None]) -> None:
    async with connected(proxy) as client:
        await client.ask(b"one\n")
        hold(proxy)
        answer = asyncio.create_task(client.ask(b"two\n"))
        await asyncio.wait([answer], timeout=0.1)
        assert not answer.done()
        proxy.resume()
        assert await answer == b"TWO\n"


async def test_on_bytes_acts_once_and_before_they_are_passed_on(proxy: Proxy) -> None:
    seen = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"TWO" in data, proxy.cut)
    async with connected(proxy) as client:
        assert await client.ask(b"one\n") == b"ONE\n"
        assert not seen.is_set()
        assert await client.ask(b"two\n") == b""
        assert seen.is_set()
    async with connected(proxy) as again:
        assert await again.ask(b"two\n") == b"TWO\n"


async def test_a_predicate_that_fails_fails_the_test() -> None:
    async with serving() as address:
        proxy = Proxy(*address)
        await proxy.__aenter__()
        proxy.on_bytes(lambda _way, _data: bool(1 / 0), proxy.cut)
        async with connected(proxy) as client:
            assert await client.ask(b"one\n") == b""
        with pytest.raises(ZeroDivisionError):
            await proxy.__aexit__(None, None, None)


async def test_a_server_that_is_away_closes_the_client() -> None:
    async with Proxy(HOST, free_port()) as proxy, connected(proxy) as client:
        assert await client.reader.read() == b""


async def test_a_commit_whose_answer_never_arrives_has_happened(
    postgres_address: tuple[str, int], database_url: str
) -> None:
    async with Proxy(*postgres_address) as proxy:
        direct = make_url(database_url).set(drivername="postgresql")
        through = direct.set(host=proxy.host, port=proxy.port)
        client = await asyncpg.connect(through.render_as_string(hide_password=False))
        await client.execute("CREATE TABLE applied (id int)")
        seen = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"COMMIT" in data, proxy.cut)
        transaction = client.transaction()
        await transaction.start()
        await client.execute("INSERT INTO applied VALUES (1)")
        with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
            await transaction.commit()
        assert seen.is_set()
        client.terminate()
    after = await asyncpg.connect(direct.render_as_string(hide_password=False))
    assert await after.fetchval("SELECT count(*) FROM applied") == 1
    await after.close()
