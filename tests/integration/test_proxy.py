"""The proxy that tests of faults put before a server."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.proxy import Proxy, Way
from worker.demo.loopback import free_port


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that answers every line with the same line in capitals."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with Proxy(host, port) as between:
            yield between


class Client:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, proxy: Proxy) -> "Client":
        return cls(*await asyncio.open_connection(proxy.host, proxy.port))

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        return await self.reader.readline()


async def test_forwards_both_ways(proxy: Proxy) -> None:
    client = await Client.to(proxy)
    assert await client.ask(b"one\n") == b"ONE\n"
    assert await client.ask(b"two\n") == b"TWO\n"
    assert proxy.connections == 1
    client.writer.close()


async def test_cut_closes_what_is_open_and_takes_new_connections(proxy: Proxy) -> None:
    client = await Client.to(proxy)
    await client.ask(b"one\n")
    proxy.cut()
    assert await client.reader.read() == b""
    client.writer.close()
    again = await Client.to(proxy)
    assert await again.ask(b"two\n") == b"TWO\n"
    again.writer.close()


async def test_refuse_turns_new_connections_away_until_accept(proxy: Proxy) -> None:
    client = await Client.to(proxy)
    await client.ask(b"one\n")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(proxy)
    assert await client.ask(b"two\n") == b"TWO\n"
    await proxy.accept()
    again = await Client.to(proxy)
    assert await again.ask(b"three\n") == b"THREE\n"
    client.writer.close()
    again.writer.close()


@pytest.mark.parametrize("hold", [Proxy.blackhole, Proxy.pause_replies])
async def test_held_bytes_arrive_after_resume(proxy: Proxy, hold: object) -> None:
    assert callable(hold)
    client = await Client.to(proxy)
    await client.ask(b"one\n")
    hold(proxy)
    answer = asyncio.ensure_future(client.ask(b"two\n"))
    await asyncio.wait([answer], timeout=0.1)
    assert not answer.done()
    proxy.resume()
    assert await answer == b"TWO\n"
    client.writer.close()


async def test_on_bytes_acts_once_and_before_they_are_passed_on(proxy: Proxy) -> None:
    seen = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"TWO" in data, proxy.cut)
    client = await Client.to(proxy)
    assert await client.ask(b"one\n") == b"ONE\n"
    assert not seen.is_set()
    assert await client.ask(b"two\n") == b""
    assert seen.is_set()
    client.writer.close()
    again = await Client.to(proxy)
    assert await again.ask(b"two\n") == b"TWO\n"
    again.writer.close()


async def test_a_predicate_that_fails_fails_the_test() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        proxy = Proxy(*server.sockets[0].getsockname())
        await proxy.__aenter__()
        proxy.on_bytes(lambda _way, _data: bool(1 / 0), proxy.cut)
        client = await Client.to(proxy)
        assert await client.ask(b"one\n") == b""
        client.writer.close()
        with pytest.raises(ZeroDivisionError):
            await proxy.__aexit__(None, None, None)


async def test_a_server_that_is_away_closes_the_client() -> None:
    async with Proxy("127.0.0.1", free_port()) as proxy:
        client = await Client.to(proxy)
        assert await client.reader.read() == b""
        client.writer.close()


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
