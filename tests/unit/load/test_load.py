import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

import producers.commands
from producers import Producer, QueueSettings, QueueUnavailable
from producers.commands import Atomic, Command, CreatePost, CreateUser, Registry
from producers.errors import BadRow
from producers.load import load
from producers.load.loaded import Loaded, Problem
from producers.wire import Answer, Ending
from tests.unit.conftest import tell


class OneByOne(CreateUser):
    """A command that no import takes: each row goes by itself."""

    imported_by: ClassVar[type[Command[Any]] | None] = None


class OnePost(CreatePost):
    """The same of posts."""

    imported_by: ClassVar[type[Command[Any]] | None] = None


APPLIED = Answer(Ending.APPLIED, None)


def table(path: Path, rows: Iterable[str], header: str = "username,age") -> Path:
    """Write a CSV."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "users.csv"


@asynccontextmanager
async def worker(producer: Producer, answers: Iterable[Answer] = ()) -> AsyncIterator[list[int]]:
    """Settle what is queued, with these answers and then "applied"; give the queue's length at each look."""
    left = iter(answers)
    lengths: list[int] = []

    async def work() -> None:
        while True:
            jobs = await producer.redis.zrange(producer.keys.queue, 0, -1)
            lengths.append(len(jobs))
            for job in jobs:
                command_id = UUID(job.decode().rpartition(":")[2])
                await tell(producer, command_id, next(left, APPLIED))
                await producer.redis.zrem(producer.keys.queue, job)
                await producer.redis.delete(producer.keys.job(command_id))
            await asyncio.sleep(0.001)

    task = asyncio.create_task(work())
    try:
        yield lengths
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def queued(producer: Producer) -> int:
    """Count the jobs in the queue."""
    return int(await producer.redis.zcard(producer.keys.queue))


async def test_each_row_becomes_a_command(producer: Producer, users: Path) -> None:
    loaded = await load(producer, table(users, ["ada,36", "bob,"]), OneByOne)
    assert (loaded.rows, loaded.accepted, loaded.duplicate, loaded.bad) == (2, 2, 0, 0)
    assert loaded.read == loaded.size == len("username,age\nada,36\nbob,\n")
    assert await queued(producer) == 2


async def test_of_a_file_loaded_again_only_what_is_new_is_added(producer: Producer, users: Path) -> None:
    rows = [f"user{number},{number % 90}" for number in range(2500)] + ["twin,1", "twin,1"]
    first = await load(producer, table(users, rows), OneByOne)
    assert (first.accepted, first.duplicate) == (2502, 0)

    random.shuffle(rows)
    again = await load(producer, table(users, [*rows, "new,1", "twin,1"]), OneByOne)

    assert (again.accepted, again.duplicate) == (2, 2502)
    assert await queued(producer) == 2504


async def test_the_order_of_columns_and_the_format_do_not_matter(
    producer: Producer, users: Path, tmp_path: Path
) -> None:
    await load(producer, table(users, ["ada,36"]), OneByOne)
    assert (await load(producer, table(users, ["36,ada"], "age,username"), OneByOne)).duplicate == 1
    lines = tmp_path / "users.jsonl"
    lines.write_text('{"age": 36, "username": "ada"}', encoding="utf-8")
    assert (await load(producer, lines, OneByOne)).duplicate == 1


async def test_a_mended_row_is_new_and_the_rest_is_not(producer: Producer, users: Path) -> None:
    with pytest.raises(BadRow):
        await load(producer, table(users, ["ada,36", "bob,x", "eve,1"]), OneByOne)
    loaded = await load(producer, table(users, ["ada,36", "bob,3", "eve,1"]), OneByOne)
    assert (loaded.accepted, loaded.duplicate) == (2, 1)


async def test_a_bad_row_stops_and_says_where_and_what_was_sent(producer: Producer, users: Path) -> None:
    with pytest.raises(BadRow, match=r"users\.csv line 3: age: ") as raised:
        await load(producer, table(users, ["ada,36", "bob,x", "eve,1"]), OneByOne)
    assert raised.value.loaded is not None
    assert (raised.value.line, raised.value.loaded.accepted) == (3, 1)
    assert await queued(producer) == 1


async def test_bad_rows_may_be_skipped(producer: Producer, users: Path) -> None:
    rows = [f"user{number},{'x' if number % 2 else 1}" for number in range(50)]
    loaded = await load(producer, table(users, rows), OneByOne, on_error="skip")
    assert (loaded.rows, loaded.accepted, loaded.bad) == (50, 25, 25)
    assert (len(loaded.problems), loaded.unlisted) == (20, 5)
    assert loaded.problems[0].line == 3


async def test_an_unknown_column_stops_before_anything_is_sent(producer: Producer, users: Path) -> None:
    with pytest.raises(BadRow, match="did you mean 'username'"):
        await load(producer, table(users, ["ada"], "usernam"), OneByOne, on_error="skip")
    assert await producer.redis.keys() == []


async def test_a_row_that_is_too_large_is_a_bad_row(producer: Producer, users: Path) -> None:
    size = producer.settings.payload_limit - 100
    rows = [f"{number},{'x' * (size if number in {3, 5} else 1)},{UUID(int=1)}" for number in range(8)]
    path = table(users, rows, "title,content,user_id")
    with pytest.raises(BadRow, match=r"line 5: .*QUEUE_PAYLOAD_LIMIT") as raised:
        await load(producer, path, OnePost)
    assert raised.value.loaded is not None
    assert raised.value.loaded.accepted == 3
    loaded = await load(producer, path, OnePost, on_error="skip")
    assert (loaded.accepted, loaded.duplicate, loaded.bad) == (3, 3, 2)
    assert [problem.line for problem in loaded.problems] == [5, 7]


async def test_a_key_that_was_loaded_with_other_content_is_rejected(producer: Producer, users: Path) -> None:
    header = "legacy,username"
    await load(producer, table(users, ["1,ada", "2,bob"], header), OneByOne, key="legacy")
    loaded = await load(
        producer, table(users, ["1,ada", "3,eve", "2,BOB", "4,zoe"], header), OneByOne, key="legacy"
    )
    assert (loaded.accepted, loaded.duplicate, loaded.rejected) == (2, 1, 1)
    assert loaded.problems == [Problem(4, "rejected", "its key was loaded before, with other content")]


async def test_results_are_waited_for_and_counted(producer: Producer, users: Path) -> None:
    answers = [
        Answer(Ending.REJECTED, error={"code": "unique", "message": "username is taken"}),
        Answer(Ending.DEAD, error={"code": "dead", "message": "given up"}),
        Answer(Ending.APPLIED, error={"code": "result_expired", "summary": {}}),
        Answer(Ending.APPLIED, error={"code": "result_expired"}),
    ]
    path = table(users, [f"user{number},1" for number in range(10)])
    async with worker(producer, answers):
        loaded = await load(producer, path, OneByOne, wait=True)
    assert (loaded.applied, loaded.rejected, loaded.dead, loaded.unanswered) == (7, 1, 1, 1)
    assert {(problem.what, problem.reason) for problem in loaded.problems} == {
        ("rejected", "username is taken"),
        ("dead", "given up"),
    }


async def test_no_more_than_ten_batches_are_outstanding(
    producer: Producer, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.load.batches._BATCH", 5)
    path = table(users, [f"user{number},1" for number in range(500)])
    outstanding = []
    async with worker(producer):
        loaded = await load(
            producer,
            path,
            OneByOne,
            wait=True,
            report=lambda loaded: outstanding.append(loaded.accepted - loaded.applied),
        )
    assert loaded.applied == 500
    assert 10 * 5 <= max(outstanding) <= 11 * 5


async def test_a_full_queue_is_waited_for(
    fake_redis: FakeAsyncRedis, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.load.batches._FIRST_PAUSE", 0.001)
    producer = Producer(redis=fake_redis, settings=QueueSettings(name="test", max=4))
    full = asyncio.Event()
    path = table(users, [f"user{number},1" for number in range(20)])

    def watch(loaded: Loaded) -> None:
        if loaded.note.startswith("queue full: waiting"):
            full.set()

    await producer.send_many([CreateUser(name="x")] * 3)

    async with asyncio.TaskGroup() as group:
        loading = group.create_task(load(producer, path, OneByOne, report=watch))
        await full.wait()
        async with worker(producer) as lengths:
            loaded = await loading
    assert (loaded.accepted, loaded.note) == (20, "")
    assert max(lengths) <= 4


async def test_a_lost_redis_says_so(producer: Producer, users: Path, fake_server: FakeServer) -> None:
    path = table(users, [f"user{number},1" for number in range(2500)])
    counts = []

    def cut(loaded: Loaded) -> None:
        fake_server.connected = loaded.accepted < 1000
        counts.append(loaded.accepted)

    with pytest.raises(QueueUnavailable):
        await load(producer, path, OneByOne, report=cut)
    assert counts[-1] == 1000


async def test_a_line_may_be_an_atomic(producer: Producer, tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    path.write_text('{"commands": [{"kind": "user.create", "payload": {"name": "Ada"}}]}\n', encoding="utf-8")
    loaded = await load(producer, path, Atomic, registry=Registry.of(producers.commands))
    assert loaded.accepted == 1
