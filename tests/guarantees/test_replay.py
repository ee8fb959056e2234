"""A failed command is read, mended and replayed: applied once, and its producer is told."""

import json
from unittest.mock import ANY
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import CommandDead, CommandRejected, Producer, Receipt
from producers.commands import CreateUser, UserView
from producers.wire import Ending
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, on_engine
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken, failing
from tests.guarantees.redis_proxy import proxied
from tests.processes import command_line, environment_of
from worker.app import App
from worker.monitoring.statistics import endings as ended_lately
from worker.replay import CannotReplay, NotSent, drop, replay

pytestmark = pytest.mark.databases

_TRIGGER = "CREATE TRIGGER fault BEFORE UPDATE ON dead_letters FOR EACH ROW"
REFUSE_RESOLVED = {
    "postgresql": (
        """CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '23514'; END $$""",
        f"{_TRIGGER} WHEN (NEW.state = 'resolved') EXECUTE FUNCTION fault()",
    ),
    "mariadb": (f"{_TRIGGER} BEGIN IF NEW.state = 'resolved' THEN SIGNAL SQLSTATE '23514'; END IF; END",),
    "sqlite": (
        "CREATE TABLE fault (n int CHECK (n > 0))",
        f"{_TRIGGER} WHEN NEW.state = 'resolved' BEGIN INSERT INTO fault VALUES (0); END",  # noqa: S608
    ),
}


@pytest.fixture
async def rejected(app: App, producer: Producer, drain: Drain) -> Receipt[UserView]:
    """The receipt of a user who was rejected: the name is taken."""
    await producer.send(CreateUser(username="ada"))
    await drain(app)
    receipt = await producer.send(CreateUser(username="ada", age=36))
    await drain(app)
    with pytest.raises(CommandRejected):
        await receipt.result(1)
    return receipt


@pytest.fixture
async def dead(make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain) -> Receipt[int]:
    """The receipt of a Bump that died of a bug."""
    receipt = await producer.send(Bump(name="n"))
    await drain(make_app({Bump: broken}, max_attempts=1))
    with pytest.raises(CommandDead):
        await receipt.result(1)
    assert await counters() == {}
    return receipt


@on_engine
async def test_it_is_read_mended_and_replayed_on_the_command_line(
    app: App, rejected: Receipt[UserView], producer: Producer, letters: Rows, drain: Drain
) -> None:
    environment = environment_of(app.options.database_url, app.queue.redis_url, app.queue.name)
    command_id = str(rejected.command_id)

    listed = json.loads((await command_line("dead", "list", "--json", environment=environment)).stdout)
    assert listed["command_id"] == command_id
    assert (listed["state"], listed["code"], listed["field"]) == ("rejected", "unique_violation", "username")
    assert "ada" not in str({**listed, "command_id": None})

    shown = json.loads(
        (await command_line("dead", "show", command_id, "--json", environment=environment)).stdout
    )
    assert shown["payload"] == {"id": ANY, "username": "ada", "age": "hidden"}

    wrong = await command_line("dead", "retry", command_id, "--set", "age=200", environment=environment)
    assert (wrong.returncode, "age" in wrong.stderr) == (1, True)
    assert await producer.redis.zcard(producer.keys.queue) == 0
    assert [letter.state for letter in await letters()] == ["rejected"]

    right = await command_line("dead", "retry", command_id, "--set", "username=bob", environment=environment)
    assert (right.returncode, right.stdout) == (0, f"{command_id}  retrying\n")
    await drain(app)
    assert (await rejected.result(1)).username == "bob"
    assert [letter.state for letter in await letters()] == ["resolved"]


@on_engine
async def test_a_whole_new_payload_goes_in_place_of_its_own(
    app: App, rejected: Receipt[UserView], drain: Drain
) -> None:
    environment = environment_of(app.options.database_url, app.queue.redis_url, app.queue.name)
    command_id = str(rejected.command_id)

    payload = {"username": "eve"}
    retry = ("dead", "retry", command_id, "--payload", "-")
    done = await command_line(*retry, environment=environment, stdin=json.dumps(payload))
    assert done.returncode == 0
    await drain(app)

    eve = await rejected.result(1)
    assert (eve.username, eve.age) == ("eve", None)


async def test_it_is_applied_once_and_goes_before_the_ending_that_it_mends(
    make_app: MakeApp, dead: Receipt[int], producer: Producer, endings: Rows, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    await replay(app, producer.redis, dead.command_id)
    await drain(app)

    assert await dead.result(1) == 1
    assert [(row.ending, row.generation, row.error) for row in await endings()] == [(Ending.APPLIED, 1, None)]


async def test_the_letter_is_resolved_in_the_transaction_of_the_ending_or_not_at_all(
    app: App, rejected: Receipt[UserView], producer: Producer, database: AsyncEngine, drain: Drain
) -> None:
    async with database.begin() as connection:
        for statement in REFUSE_RESOLVED[database.dialect.name]:
            await connection.execute(text(statement))
    await replay(app, producer.redis, rejected.command_id, changes={"username": "bob"})
    await drain(app)

    with pytest.raises(CommandRejected):
        await rejected.result(1)
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT username FROM users"))).scalars().all() == ["ada"]
        state = "SELECT ending, state FROM processed_commands JOIN dead_letters USING (command_id)"
        assert (await connection.execute(text(state))).all() == [("rejected", "rejected")]


async def test_while_redis_is_away_the_letter_stays_retrying_and_a_second_retry_goes_through(
    make_app: MakeApp, dead: Receipt[int], producer: Producer, letters: Rows, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    async with proxied(app.queue) as (proxy, behind), Producer(settings=behind) as cut_off:
        proxy.refuse()
        with pytest.raises(NotSent, match="stays `retrying`"):
            await replay(app, cut_off.redis, dead.command_id)
    assert [letter.state for letter in await letters()] == ["retrying"]

    await replay(app, producer.redis, dead.command_id)
    await replay(app, producer.redis, dead.command_id)  # once more than needed
    await drain(app)

    assert await dead.result(1) == 1
    assert [letter.state for letter in await letters()] == ["resolved"]


async def test_what_fails_again_is_dead_again_with_its_new_error(
    make_app: MakeApp, dead: Receipt[int], producer: Producer, letters: Rows, drain: Drain
) -> None:
    app = make_app({Bump: failing(1, LookupError("another bug"))}, max_attempts=1)
    await replay(app, producer.redis, dead.command_id)
    await drain(app)

    [letter] = await letters()
    assert (letter.state, letter.error_class, letter.generation) == ("dead", "LookupError", 1)
    with pytest.raises(CommandDead):
        await dead.result(1)

    await replay(app, producer.redis, dead.command_id)
    await drain(app)
    assert await dead.result(1) == 1


async def test_what_is_dropped_has_ended_for_good(
    make_app: MakeApp, dead: Receipt[int], producer: Producer, letters: Rows, endings: Rows
) -> None:
    app = make_app({Bump: bump})
    await drop(app, producer.redis, dead.command_id)

    with pytest.raises(CommandDead) as caught:
        await dead.result(1)
    assert caught.value.code == "dropped"
    assert [row.ending for row in await endings()] == [Ending.DROPPED]
    assert [letter.state for letter in await letters()] == ["dropped"]
    with pytest.raises(CannotReplay, match="dropped"):
        await replay(app, producer.redis, dead.command_id)
    await drop(app, producer.redis, dead.command_id)  # Redis is told again: it may not have heard
    told = await ended_lately(producer.redis, producer.keys, seconds=600)
    assert told["dropped"] == 1
    assert [row.ending for row in await endings()] == [Ending.DROPPED]
    assert await producer.redis.zcard(producer.keys.queue) == 0


async def test_what_was_dropped_stays_dropped_when_it_is_delivered_again(
    make_app: MakeApp, dead: Receipt[int], producer: Producer, counters: Counters, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    await drop(app, producer.redis, dead.command_id)
    await producer.redis.delete(producer.keys.mark(dead.command_id), producer.keys.result(dead.command_id))
    again = await producer.send(Bump(name="n"), command_id=dead.command_id)
    await drain(app)

    with pytest.raises(CommandDead) as caught:
        await again.result(1)
    assert (caught.value.code, await counters()) == ("dropped", {})


async def test_it_goes_to_the_queue_that_its_producer_waits_on(
    make_app: MakeApp, dead: Receipt[int], producer: Producer
) -> None:
    app = make_app({Bump: bump})
    app.queue = app.queue.model_copy(update={"name": f"{app.queue.name}-2"})
    await replay(app, producer.redis, dead.command_id)

    assert await producer.redis.zcard(producer.keys.queue) == 1
    assert await producer.redis.zcard(app.queue.name) == 0


@on_engine
async def test_what_nobody_can_read_shows_its_bytes_and_says_that_it_cannot_be_replayed(
    make_app: MakeApp, producer: Producer, drain: Drain
) -> None:
    app = make_app(unreadable_timeout=0)
    command_id = UUID(int=7)
    await producer.redis.set(producer.keys.job(command_id), b"\x80\x04 not a command")
    await producer.redis.zadd(producer.keys.queue, {producer.keys.job_id(command_id): 1})
    await drain(app)

    environment = environment_of(app.options.database_url, app.queue.redis_url, app.queue.name)
    shown = await command_line("dead", "show", str(command_id), environment=environment)
    assert "16 bytes, shown by --reveal" in shown.stdout
    shown = await command_line("dead", "show", str(command_id), "--reveal", environment=environment)
    assert r"\x80\x04 not a command" in shown.stdout
    for edit in ((), ("--payload", '{"username": "ada"}')):
        retried = await command_line("dead", "retry", str(command_id), *edit, environment=environment)
        assert (retried.returncode, "cannot be replayed" in retried.stderr) == (1, True)
    dropped = await command_line("dead", "drop", str(command_id), environment=environment)
    assert dropped.returncode == 0


async def test_a_listing_is_not_taken_for_a_payload(
    app: App, producer: Producer, drain: Drain, letters: Rows
) -> None:
    await producer.send(CreateUser(username="ada"))
    again = await producer.send(CreateUser(username="ada", email="ada@example.com"))
    await drain(app)
    with pytest.raises(CannotReplay, match="write the values anew that are 'hidden'"):
        await replay(app, producer.redis, again.command_id, payload={"username": "bob", "email": "hidden"})
    with pytest.raises(CannotReplay, match="write the values anew"):
        await replay(app, producer.redis, again.command_id, changes={"name": "hidden"})
    assert [row.state for row in await letters()] == ["rejected"]
