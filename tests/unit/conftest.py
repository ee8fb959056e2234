"""A Redis that is not there, and a producer on it."""

from uuid import UUID

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

from producers import Producer, QueueSettings
from producers.wire import Answer
from tests.unit.command_line import CommandLine


@pytest.fixture
def fake_server() -> FakeServer:
    """What several clients share."""
    return FakeServer()


@pytest.fixture
def fake_redis(fake_server: FakeServer) -> FakeAsyncRedis:
    """A client of it."""
    return FakeAsyncRedis(server=fake_server)


@pytest.fixture
def producer(fake_redis: FakeAsyncRedis) -> Producer:
    """A producer for the queue "test"."""
    return Producer(redis=fake_redis, settings=QueueSettings(name="test"))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The producer's command line."""
    return CommandLine(monkeypatch, capsys)


async def tell(producer: Producer, command_id: UUID, given: Answer) -> None:
    """Leave an answer, and say so, as a worker does."""
    result = producer.keys.result(command_id)
    await producer.redis.set(result, given.encode())
    await producer.redis.publish(result, given.encode())
