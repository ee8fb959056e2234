import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import redis

from producers import BlockingProducer, CommandConflict, CommandRejected, QueueSettings, ResultTimeout
from producers.commands import CountUsers, CreateUser
from producers.wire import Answer, Ending, Keys

ADA = CreateUser(username="ada")
BOB = CreateUser(username="bob")


@pytest.fixture
def producer(redis_url: str, queue_name: str) -> Iterator[BlockingProducer]:
    """A blocking producer on a queue of the test's own."""
    with BlockingProducer(redis_url, queue=queue_name) as producer:
        yield producer


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """What a worker would use."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def settle(client: "redis.Redis", queue: str, command_id: UUID, answer: Answer) -> None:
    """Settle a command as the worker does."""
    client.set(Keys(queue).result(command_id), answer.encode())


def test_a_command_is_sent_and_its_result_waited_for(
    producer: BlockingProducer, client: "redis.Redis", queue_name: str
) -> None:
    receipt = producer.send(CountUsers(), command_id="one")
    assert receipt.status == "accepted"
    assert isinstance(receipt.command, CountUsers)
    settle(client, queue_name, receipt.command_id, Answer(Ending.ANSWERED, 7))
    assert receipt.result(timeout=5) == 7
    assert producer.receipt("one", CountUsers).result(timeout=5) == 7


def test_errors_are_those_of_the_producer(
    producer: BlockingProducer, client: "redis.Redis", queue_name: str
) -> None:
    receipt = producer.send(ADA, command_id="one")
    with pytest.raises(ResultTimeout):
        receipt.result(timeout=0)
    with pytest.raises(CommandConflict):
        producer.send(BOB, command_id="one")
    told = {"code": "unique", "message": "ada is there"}
    settle(client, queue_name, receipt.command_id, Answer(Ending.REJECTED, error=told))
    with pytest.raises(CommandRejected, match="ada is there"):
        receipt.result(timeout=5)


def test_many_are_sent_at_once(producer: BlockingProducer, client: "redis.Redis", queue_name: str) -> None:
    receipts = producer.send_many([ADA, BOB, ADA], command_ids=["a", "b", "a"])
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted", "duplicate"]
    assert client.zcard(queue_name) == 2


def test_any_thread_may_use_it(producer: BlockingProducer, client: "redis.Redis", queue_name: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda number: producer.send(ADA, command_id=f"{number % 20}"), range(100)))
    assert sum(receipt.status == "accepted" for receipt in receipts) == 20
    assert client.zcard(queue_name) == 20


async def test_it_works_inside_a_running_loop(producer: BlockingProducer) -> None:
    """As in a notebook, whose cells run in one."""
    assert asyncio.get_running_loop().is_running()
    assert producer.send(ADA).status == "accepted"


def test_it_leaves_no_thread_behind(redis_url: str, queue_name: str) -> None:
    before = threading.active_count()
    url = redis_url.replace("127.0.0.1", "localhost")  # a name, so that a thread looks it up
    producer = BlockingProducer(settings=QueueSettings(redis_url=url, name=queue_name))
    producer.send(ADA)
    producer.close()
    producer.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        producer.send(ADA)


def test_a_wrong_setting_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="REDIS_URL"):
        BlockingProducer("nowhere")
    assert threading.active_count() == before


def test_what_was_accepted_before_a_conflict_can_be_waited_for(redis_url: str) -> None:
    with BlockingProducer(redis_url) as producer:
        producer.send(CreateUser(username="ada"), command_id="one")
        with pytest.raises(CommandConflict) as conflict:
            producer.send_many(
                [CreateUser(username="bob"), CreateUser(username="eve")], command_ids=["two", "one"]
            )
        [accepted] = conflict.value.accepted
        assert conflict.value.conflicts == [1]
        with pytest.raises(ResultTimeout):
            accepted.result(timeout=0.1)
