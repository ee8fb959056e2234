"""`verify` says what became of every write that was sent, and names those that are lost."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandConflict, Producer, QueueFull, QueueSettings
from producers.commands import CreateUser, GetUser
from producers.ledger import SENT, Ledger, read
from producers.outbox import Outbox, send
from tests.guarantees.conftest import Drain, on_engine
from tests.guarantees.losses import lose_redis
from tests.processes import command_line, environment_of
from worker.app import App
from worker.verify import Verified, verify

pytestmark = pytest.mark.databases("postgresql", "mariadb", "sqlite")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "sent.ledger"


async def compared(app: App, redis: Redis, *ledgers: Path) -> tuple[Verified, list[UUID]]:
    lost: list[UUID] = []
    return await verify(app, redis, ledgers, lost.append), lost


@on_engine
async def test_every_accepted_write_has_its_place_and_what_is_lost_is_named(
    app: App, queue: QueueSettings, ledger: Path, drain: Drain, database: AsyncEngine
) -> None:
    async with Producer(settings=queue, ledger=ledger) as producer:
        users = [CreateUser(username=name) for name in ("ada", "grace", "ada")]
        await producer.send_many(users)
        await drain(app)
        await producer.send(GetUser(username="ada"))  # a read has no ending
        lost = [await producer.send(CreateUser(username=f"lost-{number}")) for number in range(3)]
        await lose_redis(producer)
        waiting = CreateUser(username="linus")
        for _ in range(2):  # the second waits for the first
            await producer.send(waiting.model_copy())
        async with AsyncSession(database) as session, session.begin():
            await send(session, CreateUser(username="written"), outbox=Outbox(queue=queue.name))
        found, named = await compared(app, producer.redis, ledger)
    assert found.accepted == {"applied": 2, "rejected": 1, "lost": 3, "queued": 1, "waiting": 1}
    assert found.outbox == {"outbox": 1}
    assert found.lost == 3
    assert sorted(named) == sorted(receipt.command_id for receipt in lost)


@on_engine
async def test_a_send_without_an_answer_has_an_ending_or_none(
    app: App, producer: Producer, ledger: Path, drain: Drain
) -> None:
    answered = Ledger(ledger)
    done = await producer.send(CreateUser(username="ada"))
    await drain(app)
    answered.write(SENT, [done.command_id, uuid4()])
    answered.close()
    with ledger.open("a") as cut_off:
        cut_off.write("accepted 0198f3")
    found, named = await compared(app, producer.redis, ledger)
    assert (found.unanswered, found.accepted, named) == ({"applied": 1, "none": 1}, {}, [])


async def test_what_was_refused_is_not_missed_and_what_was_taken_later_is(
    app: App, queue: QueueSettings, ledger: Path
) -> None:
    full = queue.model_copy(update={"max": 1})
    async with Producer(settings=full, ledger=ledger) as producer:
        await producer.send(CreateUser(username="ada"), command_id="one")
        with pytest.raises(QueueFull):
            await producer.send(CreateUser(username="grace"), command_id="two")
        with pytest.raises(CommandConflict):
            await producer.send(CreateUser(username="linus"), command_id="one")
        found, _ = await compared(app, producer.redis, ledger)
        assert (found.refused, found.accepted) == (1, {"queued": 1})
    async with Producer(settings=queue, ledger=ledger) as producer:
        await producer.send(CreateUser(username="grace"), command_id="two")
        found, _ = await compared(app, producer.redis, ledger)
        assert (found.refused, found.accepted) == (0, {"queued": 2})


async def test_the_command_line_says_so_by_its_exit_code(
    queue: QueueSettings, ledger: Path, database_url: str
) -> None:
    environment = environment_of(database_url, queue.redis_url, queue.name)
    async with Producer(settings=queue, ledger=ledger) as producer:
        receipt = await producer.send(CreateUser(username="ada"))
        well = await command_line("verify", "--ledger", str(ledger), environment=environment)
        assert (well.returncode, "accepted   1: 1 queued" in well.stdout) == (0, True), well.stderr
        await lose_redis(producer)
    told, as_json = [
        await command_line("verify", "--ledger", str(ledger), *words, environment=environment)
        for words in ([], ["--json"])
    ]
    assert told.returncode == as_json.returncode == 1
    assert f"lost {receipt.command_id}" in told.stdout
    assert f"lost {receipt.command_id}" in as_json.stderr
    assert json.loads(as_json.stdout)["accepted"] == {"lost": 1}
    unknown = await command_line("verify", environment=environment)
    assert unknown.stdout.startswith("direct sends cannot be checked without a ledger")


def test_a_ledger_is_read_in_parts(ledger: Path) -> None:
    written = Ledger(ledger)
    written.write(SENT, [UUID(int=number) for number in range(25)])
    written.close()
    assert [len(part) for part in read(ledger, 10)] == [10, 10, 5]
