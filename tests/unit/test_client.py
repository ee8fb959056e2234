import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import given
from hypothesis import strategies as st

from producers import (
    CommandConflict,
    CommandDead,
    CommandRejected,
    InvalidSettings,
    PayloadTooLarge,
    Producer,
    QueueFull,
    QueueSettings,
    QueueUnavailable,
    ResultExpired,
    ResultTimeout,
)
from producers.commands import Atomic, CountUsers, CreatePost, CreateUser, DeleteUser, NewPost, UserView
from producers.wire import Answer, Ending
from tests.unit.conftest import tell

ADA = CreateUser(username="ada")
BOB = CreateUser(username="bob")
VIEW = {
    "id": "01890000-0000-7000-8000-000000000001",
    "username": "ada",
    "email": None,
    "name": None,
    "age": None,
    "is_active": True,
    "created_at": "2040-01-02T03:04:05Z",
    "updated_at": "2040-01-02T03:04:05Z",
    "version": 1,
}


async def answer(producer: Producer, command_id: UUID, given: Answer) -> None:
    """Settle a command as the worker does."""
    await tell(producer, command_id, given)
    await producer.redis.delete(producer.keys.job(command_id))


async def test_a_result_is_a_typed_view(producer: Producer) -> None:
    receipt = await producer.send(ADA)
    await answer(producer, receipt.command_id, Answer(Ending.APPLIED, VIEW))
    ada = await receipt.result(timeout=1)
    assert isinstance(ada, UserView)
    assert (ada.username, ada.created_at) == ("ada", datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC))


async def test_the_results_of_an_atomic_are_typed_one_by_one(producer: Producer) -> None:
    receipt = await producer.send(Atomic([ADA, DeleteUser(username="bob"), CountUsers()]))
    await answer(producer, receipt.command_id, Answer(Ending.APPLIED, [VIEW, False, 7]))
    ada, deleted, count = await receipt.result(timeout=1)
    assert isinstance(ada, UserView)
    assert (deleted, count) == (False, 7)


async def test_a_result_may_come_later(producer: Producer) -> None:
    receipt = await producer.send(CountUsers())
    waiting = asyncio.create_task(receipt.result(timeout=30))
    await asyncio.sleep(0)
    await answer(producer, receipt.command_id, Answer(Ending.ANSWERED, 7))
    assert await waiting == 7


@pytest.mark.parametrize(
    ("ending", "error"), [(Ending.REJECTED, CommandRejected), (Ending.DEAD, CommandDead)]
)
async def test_a_failed_command_raises_at_its_sender(
    producer: Producer, ending: Ending, error: type[Exception]
) -> None:
    receipt = await producer.send(ADA)
    told = {"code": "taken", "message": "ada is there", "field": "username"}
    await answer(producer, receipt.command_id, Answer(ending, error=told))
    with pytest.raises(error, match="ada is there"):
        await receipt.result(timeout=1)


async def test_a_timeout_is_also_a_timeout_error(producer: Producer) -> None:
    receipt = await producer.send(ADA)
    with pytest.raises(ResultTimeout) as raised:
        await receipt.result(timeout=0)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.command_id == receipt.command_id


async def test_a_receipt_is_found_again(producer: Producer) -> None:
    sent = await producer.send(ADA, command_id="one")
    await answer(producer, sent.command_id, Answer(Ending.APPLIED, VIEW))
    ada = await producer.receipt("one", CreateUser).result(timeout=1)
    assert ada.username == "ada"


async def test_what_was_never_sent_has_no_result(producer: Producer) -> None:
    with pytest.raises(ResultExpired):
        await producer.receipt(uuid4(), CreateUser).result(timeout=1)


async def test_a_script_that_is_run_again_sends_the_same_thing(producer: Producer) -> None:
    command = CreateUser(username="ada", posts=[NewPost(title="one"), NewPost(title="two")])
    first = await producer.send(command, command_id="ada")
    again = await producer.send(command.model_copy(), command_id="ada")
    assert again.status == "duplicate"
    assert first.command == again.command
    assert isinstance(first.command, CreateUser)
    assert len({first.command.id, *(post.id for post in first.command.posts)}) == 3


async def test_an_id_of_the_senders_own_is_kept(producer: Producer) -> None:
    key = uuid4()
    receipt = await producer.send(CreateUser(id=key, name="Ada"), command_id="ada")
    assert isinstance(receipt.command, CreateUser)
    assert receipt.command.id == key


async def test_without_a_command_id_each_send_is_its_own(producer: Producer) -> None:
    one, other = await producer.send(ADA), await producer.send(ADA)
    assert one.command_id != other.command_id
    assert (one.status, other.status) == ("accepted", "accepted")


async def test_many_are_sent_a_thousand_at_a_time(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    submit = producer._submit

    def counting(batch: Any) -> Awaitable[Any]:
        sizes.append(len(batch))
        return submit(batch)

    monkeypatch.setattr(producer, "_submit", counting)
    receipts = await producer.send_many(CreateUser(name=str(number)) for number in range(2001))
    assert sizes == [1000, 1000, 1]
    assert len({receipt.command_id for receipt in receipts}) == 2001


async def test_many_may_have_ids(producer: Producer) -> None:
    receipts = await producer.send_many([ADA, BOB, ADA], command_ids=["a", "b", "a"])
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted", "duplicate"]


async def test_many_need_as_many_ids(producer: Producer) -> None:
    with pytest.raises(ValueError, match="shorter"):
        await producer.send_many([ADA, BOB], command_ids=["a"])


async def test_a_conflict_among_many_tells_what_was_accepted(producer: Producer) -> None:
    await producer.send(ADA, command_id="a")
    with pytest.raises(CommandConflict) as raised:
        await producer.send_many([BOB, BOB, BOB], command_ids=["x", "a", "y"])
    assert [receipt.status for receipt in raised.value.accepted] == ["accepted", "accepted"]
    assert await producer.redis.zcard(producer.keys.queue) == 3


async def test_a_queue_that_fills_up_tells_what_was_accepted(fake_redis: FakeAsyncRedis) -> None:
    producer = Producer(redis=fake_redis, settings=QueueSettings(name="test", max=1500))
    with pytest.raises(QueueFull) as raised:
        await producer.send_many(CreateUser(name=str(number)) for number in range(2000))
    assert len(raised.value.accepted) == 1000
    assert await producer.redis.zcard(producer.keys.queue) == 1000


async def test_a_command_that_is_too_large_is_not_sent(producer: Producer) -> None:
    limit = producer.settings.payload_limit
    whole = CreatePost(title="x", user_id=uuid4(), content="")
    with pytest.raises(PayloadTooLarge, match="QUEUE_PAYLOAD_LIMIT") as raised:
        await producer.send(whole.model_copy(update={"content": "ü" * (limit // 2)}))
    assert raised.value.command_id is not None
    assert await producer.redis.keys() == []


async def test_the_limit_is_to_the_byte(producer: Producer) -> None:
    limit = producer.settings.payload_limit
    user_id = uuid4()
    rest = len(producer._sending(CreatePost(title="x", user_id=user_id, content="y"), None).envelope) - 1
    await producer.send(CreatePost(title="x", user_id=user_id, content="y" * (limit - rest)))
    with pytest.raises(PayloadTooLarge, match=str(limit + 1)):
        await producer.send(CreatePost(title="x", user_id=user_id, content="y" * (limit - rest + 1)))


@pytest.mark.parametrize(
    "times",
    [
        {"delay": 1, "at": datetime.now(UTC)},
        {"delay": -1},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"delay": 1e12},
        {"deadline": timedelta.max},
        {"deadline": datetime.min.replace(tzinfo=UTC)},
        {"at": datetime(2040, 1, 1)},  # noqa: DTZ001  # that is the mistake
        {"deadline": datetime(2040, 1, 1)},  # noqa: DTZ001
        {"deadline": -1},
    ],
)
async def test_a_time_that_makes_no_sense_is_a_value_error(producer: Producer, times: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(give )?(delay|at|deadline) "):
        await producer.send(ADA, **times)
    assert await producer.redis.keys() == []


async def test_a_redis_that_is_away_is_an_error_of_ours(producer: Producer, fake_server: FakeServer) -> None:
    fake_server.connected = False
    with pytest.raises(QueueUnavailable) as raised:
        await producer.send(ADA, command_id=(given := uuid4()))
    assert raised.value.command_id == given


async def test_a_redis_that_goes_away_tells_what_was_accepted(
    producer: Producer, fake_server: FakeServer
) -> None:
    def commands() -> Any:
        for number in range(2500):  # the next thousand is made ready while one is on its way
            fake_server.connected = number < 2000
            yield CreateUser(name=str(number))

    with pytest.raises(QueueUnavailable) as raised:
        await producer.send_many(commands())
    assert len(raised.value.accepted) == 1000


async def test_a_redis_that_is_nearly_full_takes_nothing_new(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def info(section: str) -> dict[str, int]:
        assert section == "memory"
        return {"maxmemory": 1000, "used_memory": 901}

    monkeypatch.setattr(producer.redis, "info", info)
    with pytest.raises(QueueFull, match="QUEUE_HEADROOM") as raised:
        await producer.send(ADA)
    assert raised.value.code == "redis_full"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255))
def test_any_text_arrives_as_it_was_sent(name: str) -> None:
    async def send() -> bytes:
        async with Producer(redis=FakeAsyncRedis(), settings=QueueSettings(name="test")) as producer:
            receipt = await producer.send(CreateUser(name=name))
            raw: bytes = await producer.redis.get(producer.keys.job(receipt.command_id))
            return raw

    assert json.loads(asyncio.run(send()))["a"][0]["payload"]["name"] == name


async def test_a_client_of_the_callers_own_is_not_closed(fake_redis: FakeAsyncRedis) -> None:
    async with Producer(redis=fake_redis) as producer:
        await producer.send(ADA)
    assert await fake_redis.ping()


def test_a_client_that_decodes_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidSettings, match="decode_responses"):
        Producer(redis=FakeAsyncRedis(decode_responses=True))
