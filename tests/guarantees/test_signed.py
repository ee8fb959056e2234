"""Where there is a key, only what a sender with the key has made is carried out, and as it was made."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from producers import CommandDead, Producer, QueueSettings
from producers.commands import CreatePost, CreateUser, UpdateUser
from producers.outbox import Outbox, send
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken
from tests.processes import command_line, environment_of
from tests.waiting import until
from worker.refused import Refused
from worker.replay import replay
from worker.tables import worker_tables
from worker.types import utcnow

OLD, NEW, FOREIGN = (f"{name} key of thirty-two characters at least" for name in ("old", "new", "foreign"))


@pytest.fixture
def queue(redis_url: str, queue_name: str) -> QueueSettings:
    """A queue whose commands are signed."""
    return QueueSettings(redis_url=redis_url, name=queue_name, redis_retries=2, signing_keys=OLD)


@pytest.fixture
def make_app(make_app: MakeApp) -> MakeApp:
    """Makes Apps that refuse at once what another worker might have the key for."""
    return lambda handlers=None, **options: make_app(handlers, **{"unreadable_timeout": 0, **options})


@pytest.fixture
def refused(producer: Producer) -> Refused:
    """The jobs of the queue that were refused."""
    return Refused(producer.redis, producer.keys)


def with_(queue: QueueSettings, **changes: Any) -> QueueSettings:
    """The settings of another process on the same queue, or nearly."""
    return QueueSettings.load(**{**dict(queue), **changes})


def _put(*path: str | int, to: Any) -> Callable[[bytes], bytes]:
    """Change one value in the JSON of a job, and nothing in its form."""

    def change(job: bytes) -> bytes:
        value = whole = json.loads(job)
        for step in path[:-1]:
            value = value[step]
        assert value[path[-1]] != to
        value[path[-1]] = to
        return json.dumps(whole, separators=(",", ":")).encode()

    return change


def _text(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(job: bytes) -> bytes:
        assert old in job
        return job.replace(old, new, 1)

    return change


def _later(job: bytes) -> bytes:
    """Put off all times that are not signed."""
    value = json.loads(job)
    stamp = value["a"][1]
    stamp["due"] += 1
    return json.dumps(value, separators=(",", ":")).encode()


def _unsigned(job: bytes) -> bytes:
    value = json.loads(job)
    for name in ("mac", "asked", "signed"):
        del value["a"][1][name]
    return json.dumps(value, separators=(",", ":")).encode()


def _reordered(job: bytes) -> bytes:
    value = json.loads(job)
    value["a"][0] = dict(reversed(value["a"][0].items()))
    return json.dumps(value, separators=(",", ":")).encode()


FORGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another format": (_put("a", 0, "format", to=2), "bad_signature"),
    "another id": (_put("a", 0, "id", to=str(uuid4())), "bad_signature"),
    "another kind": (_put("a", 0, "kind", to="post.upsert"), "bad_signature"),
    "another version": (_put("a", 0, "version", to=1), "bad_signature"),
    "another fingerprint": (_put("a", 0, "fingerprint", to="0" * 64), "bad_signature"),
    "another generation": (_put("a", 0, "generation", to=1), "bad_signature"),
    "another payload": (_put("a", 0, "payload", "title", to="mine"), "bad_signature"),
    "other lanes": (_put("a", 1, "lanes", to=["user:x"]), "bad_signature"),
    "other rows that it refers to": (_put("a", 1, "refs", to=[]), "bad_signature"),
    "other times, as they were asked for": (_put("a", 1, "asked", to="+0"), "bad_signature"),
    "another time of its signature": (_put("a", 1, "signed", to=1), "bad_signature"),
    "another signature": (_put("a", 1, "mac", to="A" * 43), "bad_signature"),
    "no signature": (_unsigned, "unsigned"),
    "a time to begin that is later": (_later, "bad_times"),
    "no deadline": (_put("a", 1, "deadline", to=None), "bad_times"),
    "a later deadline": (_put("a", 1, "deadline", to=4_000_000_000_000), "bad_times"),
    "its fields in another order": (_reordered, "bad_signature"),
    "the same, encoded anew": (_text(b'"kind":', b'"kind": '), "bad_signature"),
    "no end": (lambda job: job[:-1], "unsigned"),
    "more behind its end": (
        lambda job: job[:-1] + b',"a":[{"format":1},{"accepted":1}]}',
        "unsigned",
    ),
    "more in its stamp": (_text(b'"mac":', b'"lanes":[],"mac":'), "bad_signature"),
    "another function": (_text(b'"f":"execute"', b'"f":"charge"'), "unsigned"),
    "bytes of no kind": (lambda _: b"\xff\x00", "unsigned"),
}


async def one_post(producer: Producer) -> tuple[str, bytes]:
    """Send a command that has all that can be signed; return its job's key and bytes."""
    post = CreatePost(title="hers", user_id=uuid4())
    receipt = await producer.send(post, delay=0.001, deadline=60, ordering_key="hers")
    key = producer.keys.job(receipt.command_id)
    job = await producer.redis.get(key)
    assert job is not None
    return key, job


@pytest.mark.parametrize(("forge", "reason"), FORGED.values(), ids=FORGED)
async def test_what_is_changed_on_its_way_is_refused(
    forge: Callable[[bytes], bytes],
    reason: str,
    make_app: MakeApp,
    producer: Producer,
    refused: Refused,
    endings: Rows,
    letters: Rows,
    drain: Drain,
) -> None:
    key, job = await one_post(producer)
    forged = forge(job)
    assert forged != job
    await producer.redis.set(key, forged)

    await drain(make_app())

    [refusal] = await refused.latest()
    assert (refusal.job_id, refusal.reason, refusal.body) == (key.removeprefix("arq:job:"), reason, forged)
    assert await refused.counts() == {reason: 1}
    assert await endings() == await letters() == []
    about = key.rpartition(":")[2]
    left = [name async for name in producer.redis.scan_iter(f"*{about}*")]
    lanes = [name async for name in producer.redis.scan_iter(producer.keys.lane("*"))]
    assert left == lanes == []


async def test_what_is_signed_is_carried_out(
    make_app: MakeApp, producer: Producer, refused: Refused, running: Running
) -> None:
    ada = CreateUser(username="ada")
    soon = datetime.now(UTC) + timedelta(seconds=0.01)
    async with running(make_app()):
        created = await producer.send(ada, ordering_key='a "quoted" ,{"accepted":1')
        post = CreatePost(title="hers", user_id=ada.id)
        posted = await producer.send(post, at=soon, deadline=timedelta(hours=1))
        named = await producer.send(UpdateUser(id=ada.id, name='Ада ,{"accepted":1,"due":1}'), delay=0.01)

        assert (await created.result(20)).id == ada.id
        assert (await posted.result(20)).user_id == ada.id
        assert await named.result(20) is not None
    assert await refused.counts() == {}


async def test_what_another_key_has_signed_is_refused(
    queue: QueueSettings, make_app: MakeApp, refused: Refused, endings: Rows, drain: Drain
) -> None:
    async with Producer(settings=with_(queue, signing_keys=FOREIGN)) as foreign:
        await foreign.send(CreateUser(username="eve"))

    await drain(make_app())

    assert await refused.counts() == {"bad_signature": 1}
    assert await endings() == []


async def test_a_command_for_one_queue_is_refused_in_another(
    queue: QueueSettings, make_app: MakeApp, producer: Producer, refused: Refused, endings: Rows, drain: Drain
) -> None:
    async with Producer(settings=with_(queue, name=f"{queue.name}-b")) as other:
        receipt = await other.send(CreateUser(username="ada"))
        job = await other.redis.get(other.keys.job(receipt.command_id))
    assert job is not None
    await put(producer, producer.keys.job_id(receipt.command_id), job)

    await drain(make_app())

    assert await refused.counts() == {"bad_signature": 1}
    assert await endings() == []


async def put(producer: Producer, job_id: str, job: bytes) -> None:
    """Put a job into the queue, past our own producer."""
    await producer.redis.set(f"arq:job:{job_id}", job)
    await producer.redis.zadd(producer.keys.queue, {job_id: 1})


@pytest.mark.parametrize("keys", ["", OLD], ids=["unsigned", "signed"])
async def test_a_command_under_the_name_of_another_is_refused(
    keys: str, queue: QueueSettings, make_app: MakeApp, refused: Refused, drain: Drain, endings: Rows
) -> None:
    app = make_app()
    app.queue = with_(queue, signing_keys=keys)
    async with Producer(settings=app.queue) as producer:
        receipt = await producer.send(CreateUser(username="ada"))
        job = await producer.redis.get(producer.keys.job(receipt.command_id))
        assert job is not None
        for job_id in (producer.keys.job_id(uuid4()), producer.keys.job_id(receipt.command_id, 1), "any"):
            await put(producer, job_id, job)

        await drain(app)

        assert await refused.counts() == {"wrong_job": 3}
        assert (await receipt.result(1)).username == "ada"
        assert [row.ending for row in await endings()] == ["applied"]


async def test_keys_are_changed_without_a_pause(
    queue: QueueSettings, make_app: MakeApp, counters: Counters, refused: Refused, drain: Drain
) -> None:
    for sends, knows in ((OLD, f"{OLD},{NEW}"), (f"{NEW},{OLD}", f"{OLD}, {NEW}"), (NEW, NEW)):
        async with Producer(settings=with_(queue, signing_keys=sends)) as producer:
            await producer.send(Bump(name="n"))
        app = make_app({Bump: bump})
        app.queue = with_(queue, signing_keys=knows)
        await drain(app)

    assert await counters() == {"n": 3}
    assert await refused.counts() == {}


async def test_what_was_queued_before_there_was_a_key_is_taken_while_none_is_required(
    queue: QueueSettings, make_app: MakeApp, counters: Counters, refused: Refused, drain: Drain
) -> None:
    app = make_app({Bump: bump})
    app.queue = with_(queue, signing_required=False)
    async with Producer(settings=with_(queue, signing_keys="")) as before, Producer(settings=queue) as after:
        await before.send(Bump(name="n"))
        await after.send(Bump(name="n"))
        forged = await after.send(Bump(name="n"))
        key = after.keys.job(forged.command_id)
        job = await after.redis.get(key)
        assert job is not None
        await after.redis.set(key, job.replace(b'"name":"n"', b'"name":"m"'))

        await drain(app)

    assert await counters() == {"n": 2}
    assert await refused.counts() == {"bad_signature": 1}


async def test_a_worker_without_a_key_takes_what_is_signed(
    queue: QueueSettings, make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    await producer.send(Bump(name="n"))
    app = make_app({Bump: bump})
    app.queue = with_(queue, signing_keys="")

    await drain(app)

    assert await counters() == {"n": 1}


async def test_a_relay_signs_what_it_publishes(
    queue: QueueSettings,
    make_app: MakeApp,
    producer: Producer,
    database: AsyncEngine,
    refused: Refused,
    drain: Drain,
) -> None:
    async with AsyncSession(database) as session, session.begin():
        ada = await send(session, CreateUser(username="ada"), outbox=Outbox(queue=queue.name))
        options: dict[str, Any] = {"delay": 0.01, "deadline": 60}
        grace = await send(session, CreateUser(username="grace"), outbox=Outbox(queue=queue.name), **options)

    await drain(make_app())

    for written in (ada, grace):
        assert (await written.receipt(producer).result(5)).username in {"ada", "grace"}
    assert await refused.counts() == {}


async def test_a_replay_is_signed_with_the_key_of_today(
    queue: QueueSettings,
    make_app: MakeApp,
    producer: Producer,
    counters: Counters,
    refused: Refused,
    drain: Drain,
) -> None:
    receipt = await producer.send(Bump(name="n"))
    await drain(make_app({Bump: broken}, max_attempts=1))
    with pytest.raises(CommandDead):
        await receipt.result(1)

    app = make_app({Bump: bump})
    app.queue = with_(queue, signing_keys=NEW)
    await replay(app, producer.redis, receipt.command_id)
    await drain(app)

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}
    assert await refused.counts() == {}


async def test_a_refused_job_holds_nothing_up_that_stands_behind_it(
    queue: QueueSettings, make_app: MakeApp, producer: Producer, refused: Refused, drain: Drain
) -> None:
    ada = CreateUser(username="ada")
    async with Producer(settings=with_(queue, signing_keys="")) as foreign:
        await foreign.send(UpdateUser(id=ada.id, name="Eve"))
    receipt = await producer.send(ada)

    await drain(make_app())

    assert (await receipt.result(1)).name is None
    assert await refused.counts() == {"unsigned": 1}


async def test_the_real_command_of_an_id_that_was_forged_is_accepted_and_applied(
    queue: QueueSettings, make_app: MakeApp, producer: Producer, drain: Drain
) -> None:
    async with Producer(settings=with_(queue, signing_keys="")) as foreign:
        await foreign.send(CreateUser(username="eve"), command_id="import/1")
    await drain(make_app())

    receipt = await producer.send(CreateUser(username="ada"), command_id="import/1")
    await drain(make_app())

    assert receipt.status == "accepted"
    assert (await receipt.result(1)).username == "ada"


async def test_a_forged_job_beside_a_dead_command_does_not_let_its_lane_go(
    make_app: MakeApp, producer: Producer, refused: Refused, running: Running
) -> None:
    ada = CreateUser(username="ada")
    receipt = await producer.send(ada)
    async with running(make_app({CreateUser: broken, UpdateUser: broken}, max_attempts=1)):
        with pytest.raises(CommandDead):
            await receipt.result(10)
        behind = await producer.send(UpdateUser(id=ada.id, name="Ada"))
        await put(producer, producer.keys.job_id(receipt.command_id), b"forged")

        await until(lambda: _is_counted(refused))

    assert await producer.redis.zscore(producer.keys.parked, str(receipt.command_id)) is not None
    assert await producer.redis.zscore(producer.keys.waiting, str(behind.command_id)) is not None


async def test_a_worker_without_the_key_leaves_a_command_to_one_that_has_it(
    queue: QueueSettings, make_app: MakeApp, counters: Counters, refused: Refused, running: Running
) -> None:
    behind_time = make_app({Bump: bump}, unreadable_timeout=60)
    async with Producer(settings=with_(queue, signing_keys=NEW)) as producer:
        receipt = await producer.send(Bump(name="n"))
        failures = producer.keys.failures(producer.keys.job_id(receipt.command_id))

        async def is_put_off() -> bool:
            return bool(await producer.redis.exists(failures))

        async with running(behind_time):
            await until(is_put_off)
        knowing = make_app({Bump: bump})
        knowing.queue = with_(queue, signing_keys=f"{NEW},{OLD}")
        async with running(knowing):
            assert await receipt.result(10) == 1
    assert await counters() == {"n": 1}
    assert await refused.counts() == {}


async def test_a_replay_that_is_refused_leaves_the_dead_command_its_lanes(
    queue: QueueSettings, make_app: MakeApp, producer: Producer, refused: Refused, running: Running
) -> None:
    ada = CreateUser(username="ada")
    receipt = await producer.send(ada)
    behind = await producer.send(UpdateUser(id=ada.id, name="Ada"))
    async with running(make_app({CreateUser: broken}, max_attempts=1)):
        with pytest.raises(CommandDead):
            await receipt.result(10)
    keyless, knowing = make_app(), make_app()
    keyless.queue = with_(queue, signing_keys="")
    await replay(keyless, producer.redis, receipt.command_id)

    async with running(knowing):
        await until(lambda: _is_counted(refused))
        assert await producer.redis.zscore(producer.keys.parked, str(receipt.command_id)) is not None
        assert await producer.redis.zscore(producer.keys.waiting, str(behind.command_id)) is not None

        await replay(knowing, producer.redis, receipt.command_id)
        assert (await receipt.result(10)).username == "ada"
        told = await behind.result(10)
    assert told is not None
    assert told.name == "Ada"


async def _is_counted(refused: Refused) -> bool:
    return bool(await refused.counts())


async def test_an_old_command_is_not_made_young_by_the_time_beside_its_signature(
    make_app: MakeApp,
    producer: Producer,
    database: AsyncEngine,
    letters: Rows,
    drain: Drain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await drain(make_app())
    relays = worker_tables(None).relays
    async with database.begin() as connection:
        now = (await connection.execute(select(utcnow()))).scalar_one()
        await connection.execute(update(relays).values(pruned_until=now - timedelta(days=7)))
    with monkeypatch.context() as then:
        then.setattr("producers.signing._now", lambda: time.time() - 30 * 86400)
        await producer.send(CreateUser(username="ada"))

    await drain(make_app())

    [letter] = await letters()
    assert (letter.state, letter.code) == ("rejected", "too_old")


async def test_the_latest_are_kept_and_all_are_counted(
    make_app: MakeApp, producer: Producer, refused: Refused, drain: Drain
) -> None:
    most = 1000
    for number in range(most + 5):
        await put(producer, f"{producer.keys.queue}:{number}", b"forged")
    await put(producer, f"{producer.keys.queue}:last", b"x" * 100_000)

    await drain(make_app())

    kept = await refused.latest()
    assert len(kept) == most
    assert await refused.counts() == {"unsigned": most + 6}
    assert {refusal.size for refusal in kept} <= {6, 100_000}
    assert max(len(refusal.body) for refusal in kept) <= 64 * 1024


async def test_they_are_listed_shown_and_cleared_on_the_command_line_without_what_they_hold(
    make_app: MakeApp, producer: Producer, drain: Drain, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = f"{producer.keys.queue}:{uuid4()}"
    await put(producer, job_id, b'{"password":"hunter2"}')
    app = make_app()
    await drain(app)
    told = "".join(capfd.readouterr())
    environment = environment_of(app.options.database_url, app.queue.redis_url, app.queue.name)

    async def run(*words: str) -> tuple[int, str, str]:
        ran = await command_line("refused", *words, environment=environment)
        return ran.returncode, ran.stdout, ran.stderr

    code, listed, counted = await run("list", "--json")
    assert (code, json.loads(listed)["job_id"], json.loads(listed)["reason"]) == (0, job_id, "unsigned")
    assert "1 unsigned" in counted
    _, shown, _ = await run("show", job_id)
    assert "it is not signed" in shown
    assert await run("show", job_id, "--body") == (0, '{"password":"hunter2"}', "")
    assert "hunter2" not in told + listed + counted + shown
    code, _, said = await run("show", "another")
    assert (code, "refused list" in said) == (1, True)
    assert (await run("clear"))[1] == "1 forgotten\n"
    code, listed, counted = await run("list")
    assert (code, listed, "1 unsigned" in counted) == (0, "", True)
