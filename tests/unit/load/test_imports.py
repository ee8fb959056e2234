"""Rows that go many at a time: what is sent, and what is counted when it is answered."""

import asyncio
import csv
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from producers import Producer
from producers.commands import CreateLike, CreatePost, CreateUser, ImportUsers, UpsertUser
from producers.errors import BadRow
from producers.fields import Fields
from producers.load import load
from producers.load.columns import Columns
from producers.load.loaded import Problem
from producers.load.rejects import Rejects
from producers.wire import Answer, Ending, Envelope
from tests.unit.conftest import tell

Answering = Callable[[Envelope], Answer]


def table(path: Path, rows: Iterable[str], header: str = "username,age") -> Path:
    """Write a CSV."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "users.csv"


async def sent(producer: Producer) -> list[Envelope]:
    """What waits in the queue, in its order."""
    jobs = await producer.redis.zrange(producer.keys.queue, 0, -1)
    bodies = [await producer.redis.get(f"arq:job:{job.decode()}") for job in jobs]
    return [Envelope.decode(json.loads(body)["a"][0]) for body in bodies if body]


def written(envelope: Envelope) -> Answer:
    """Answer that all rows were written."""
    return imported(len(envelope.payload["rows"]))


def imported(count: int, *duplicates: int, rejected: Iterable[dict[str, Any]] = ()) -> Answer:
    """Answer as the worker does."""
    return Answer(
        Ending.APPLIED, {"written": count, "duplicates": list(duplicates), "rejected": list(rejected)}
    )


def refusal(*places: int) -> dict[str, Any]:
    """Say that some rows are taken."""
    return {"code": "unique_violation", "field": "username", "message": "taken", "rows": list(places)}


@asynccontextmanager
async def worker(producer: Producer, answering: Answering = written) -> AsyncIterator[list[Envelope]]:
    """Settle what is queued; give what came."""
    came: list[Envelope] = []

    async def work() -> None:
        while True:
            for envelope in await sent(producer):
                came.append(envelope)
                await tell(producer, envelope.id, answering(envelope))
                await producer.redis.zrem(producer.keys.queue, producer.keys.job_id(envelope.id))
            await asyncio.sleep(0.001)

    task = asyncio.create_task(work())
    try:
        yield came
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_thousand_rows_are_one_command(producer: Producer, users: Path) -> None:
    path = table(users, [f"user{number},1" for number in range(2500)])
    loaded = await load(producer, path, CreateUser)
    assert (loaded.rows, loaded.accepted) == (2500, 2500)
    envelopes = await sent(producer)
    assert sorted(len(envelope.payload["rows"]) for envelope in envelopes) == [500, 1000, 1000]
    assert {envelope.kind for envelope in envelopes} == {"user.import_many"}
    assert all(ImportUsers.model_validate(envelope.payload) for envelope in envelopes)


async def test_a_row_has_the_id_that_it_would_have_alone(producer: Producer, users: Path) -> None:
    """So that rows that an older release sent one by one are not added again."""
    await load(producer, table(users, ["ada,"]), CreateUser)
    [envelope] = await sent(producer)
    [row] = envelope.payload["rows"]
    assert row["id"] == str(uuid5(UUID("496e43bb-6fa2-5607-be99-07cc13fdd98b"), "id"))


async def test_an_id_of_the_file_is_kept(producer: Producer, users: Path) -> None:
    await load(producer, table(users, [f"{UUID(int=7)},ada"], "id,username"), CreateUser)
    [envelope] = await sent(producer)
    assert envelope.payload["rows"] == [{"id": str(UUID(int=7)), "username": "ada"}]


async def test_each_load_sends_commands_of_its_own_with_the_same_rows(
    producer: Producer, users: Path
) -> None:
    """A file may come back to what it was, and what was refused may be welcome now."""
    path = table(users, [f"user{number},1" for number in range(1500)])
    for _ in range(2):
        loaded = await load(producer, path, CreateUser)
        assert (loaded.accepted, loaded.duplicate) == (1500, 0)
    envelopes = await sent(producer)
    assert (len(envelopes), len({envelope.id for envelope in envelopes})) == (4, 4)
    ids = [row["id"] for envelope in envelopes for row in envelope.payload["rows"]]
    assert (len(ids), len(set(ids))) == (3000, 1500)


async def test_what_was_there_is_known_from_the_worker(producer: Producer, users: Path) -> None:
    path = table(users, ["ada,1", "bob,2", "eve,3"])
    async with worker(producer):
        await load(producer, path, CreateUser, wait=True)
    async with worker(producer, lambda _: imported(0, 0, 1, 2)):
        again = await load(producer, path, CreateUser, wait=True)
    assert (again.accepted, again.duplicate, again.applied) == (0, 3, 3)


async def test_equal_batches_of_one_file_are_one_command(
    producer: Producer, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.load.batches._BATCH", 2)
    path = table(users, ["1,ada"] * 4, "legacy,username")
    async with worker(producer, lambda _: imported(1, 1)) as came:
        loaded = await load(producer, path, CreateUser, key="legacy", wait=True)
    assert len(came) == 1
    assert (loaded.accepted, loaded.duplicate, loaded.applied) == (1, 3, 4)


async def test_shuffled_rows_keep_their_ids(producer: Producer, users: Path) -> None:
    rows = [f"user{number},1" for number in range(1500)] + ["twin,1", "twin,1"]
    async with worker(producer) as came:
        await load(producer, table(users, rows), CreateUser, wait=True)
        random.shuffle(rows)
        await load(producer, table(users, rows), CreateUser, wait=True)
    ids = [row["id"] for envelope in came for row in envelope.payload["rows"]]
    assert (len(ids), len(set(ids))) == (2 * 1502, 1502)


async def test_what_became_of_each_row_is_counted(producer: Producer, users: Path) -> None:
    path = table(users, [f"user{number},1" for number in range(6)])

    def answer(_: Envelope) -> Answer:
        return imported(3, 1, rejected=[refusal(0, 5)])

    async with worker(producer, answer):
        loaded = await load(producer, path, CreateUser, wait=True)
    counts = loaded.accepted, loaded.duplicate, loaded.applied, loaded.rejected
    assert counts == (5, 1, 4, 2)
    assert [(problem.line, problem.reason) for problem in loaded.problems] == [(2, "taken"), (7, "taken")]


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (Answer(Ending.EXPIRED, error={"code": "expired", "message": "late"}), (0, 3, 0, 0)),
        (Answer(Ending.DEAD, error={"code": "bug", "message": "given up"}), (0, 0, 3, 0)),
        (Answer(Ending.APPLIED, error={"code": "result_expired", "summary": {}}), (3, 0, 0, 0)),
        (Answer(Ending.APPLIED, error={"code": "result_expired"}), (0, 0, 0, 3)),
    ],
)
async def test_rows_that_end_together_are_counted_together(
    producer: Producer, users: Path, answer: Answer, counts: tuple[int, int, int, int]
) -> None:
    path = table(users, ["ada,1", "bob,2", "eve,3"])
    async with worker(producer, lambda _: answer):
        loaded = await load(producer, path, CreateUser, wait=True)
    assert (loaded.applied, loaded.rejected, loaded.dead, loaded.unanswered) == counts
    assert (loaded.rejects is not None) == (loaded.rejected + loaded.dead > 0)


async def test_rows_that_were_refused_are_tried_anew_when_the_file_is_loaded_again(
    producer: Producer, users: Path
) -> None:
    path = table(users, ["ada,1", "bob,2", "eve,3"])
    answers = iter([imported(2, rejected=[refusal(1)]), imported(1, 0, 2)])
    async with worker(producer, lambda _: next(answers)) as came:
        first = await load(producer, path, CreateUser, wait=True)
        again = await load(producer, path, CreateUser, wait=True)
    assert (first.applied, first.rejected) == (2, 1)
    assert (again.accepted, again.duplicate, again.applied, again.rejected) == (1, 2, 3, 0)
    assert came[0].payload == came[1].payload


async def test_a_key_that_comes_twice_with_other_content_is_rejected(producer: Producer, users: Path) -> None:
    path = table(users, ["1,ada", "2,bob", "1,eve", "2,bob"], "legacy,username")
    loaded = await load(producer, path, CreateUser, key="legacy")
    assert (loaded.accepted, loaded.rejected) == (3, 1)
    [problem] = loaded.problems
    assert (problem.line, problem.reason) == (4, "its key came before in this file, with other content")


async def test_a_file_may_have_other_content_under_the_keys_of_an_earlier_one(
    producer: Producer, users: Path
) -> None:
    header = "legacy,username"
    await load(producer, table(users, ["1,ada"], header), CreateUser, key="legacy")
    await load(producer, table(users, ["1,eve"], header), CreateUser, key="legacy")
    one, two = await sent(producer)
    assert one.id != two.id
    assert one.payload["rows"][0]["id"] == two.payload["rows"][0]["id"]


async def test_a_row_that_sets_more_than_the_import_takes_goes_by_itself(
    producer: Producer, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text('{"username": "ada"}\n{"username": "bob", "posts": [{"title": "one"}]}\n')
    await load(producer, path, CreateUser)
    assert {envelope.kind for envelope in await sent(producer)} == {"user.import_many", "user.create"}


async def test_each_field_that_finds_rows_has_its_import(producer: Producer, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text('{"username": "ada"}\n{"email": "bob@example.com"}\n{"username": "eve"}\n')
    await load(producer, path, UpsertUser)
    found = {envelope.payload["by"]: len(envelope.payload["rows"]) for envelope in await sent(producer)}
    assert found == {"username": 2, "email": 1}


async def test_a_row_without_an_id_has_none(producer: Producer, tmp_path: Path) -> None:
    path = table(tmp_path / "likes.csv", [f"{UUID(int=1)},{UUID(int=2)}"], "user_id,post_id")
    await load(producer, path, CreateLike)
    [envelope] = await sent(producer)
    assert envelope.payload["rows"] == [{"user_id": str(UUID(int=1)), "post_id": str(UUID(int=2))}]


@pytest.mark.parametrize("wide", [100, 1000])
async def test_an_import_is_as_large_as_a_command_may_be(
    producer: Producer, tmp_path: Path, wide: int
) -> None:
    size = producer.settings.payload_limit // wide
    rows = [f"{number},{'x' * size},{UUID(int=1)}" for number in range(3 * wide)]
    path = table(tmp_path / "posts.csv", rows, "title,content,user_id")
    loaded = await load(producer, path, CreatePost)
    assert (loaded.accepted, loaded.bad) == (3 * wide, 0)
    titles = {row["title"] for envelope in await sent(producer) for row in envelope.payload["rows"]}
    assert len(titles) == 3 * wide


async def test_a_row_that_is_too_large_is_a_bad_row(producer: Producer, tmp_path: Path) -> None:
    size = producer.settings.payload_limit - 100
    rows = [f"{number},{'x' * (size if number in {3, 5} else 1)},{UUID(int=1)}" for number in range(8)]
    path = table(tmp_path / "posts.csv", rows, "title,content,user_id")
    loaded = await load(producer, path, CreatePost, on_error="skip")
    assert (loaded.accepted, loaded.bad) == (6, 2)
    assert [problem.line for problem in loaded.problems] == [5, 7]
    with pytest.raises(BadRow, match=r"line 5: .*QUEUE_PAYLOAD_LIMIT") as raised:
        await load(producer, path, CreatePost)
    assert raised.value.loaded is not None
    assert raised.value.loaded.rejects is None
    assert raised.value.loaded.problems == [Problem(5, "bad", raised.value.reason)]


async def test_rejected_rows_can_be_mended_and_loaded_again(producer: Producer, users: Path) -> None:
    path = table(users, ["ada,1", "bob,x", "eve,2", "zoe"], "login,age")
    async with worker(producer, lambda _: imported(1, rejected=[refusal(1)])):
        loaded = await load(
            producer, path, CreateUser, columns={"login": "username"}, on_error="skip", wait=True
        )
    assert loaded.rejects == users.with_name("users.rejected.csv")
    lines = loaded.rejects.read_text().splitlines()
    assert lines[0] == "login,age,_error"
    assert lines[1].startswith('bob,x,"age: ')
    assert set(lines[2:]) == {'zoe,,"1 cells, where the header has 2"', "eve,2,taken"}

    text = loaded.rejects.read_text().replace("bob,x", "bob,3").replace("zoe,,", "zoe,4,")
    loaded.rejects.write_text(text)
    async with worker(producer) as came:
        mended = await load(
            producer, loaded.rejects, CreateUser, columns={"login": "username"}, on_error="skip", wait=True
        )
    assert (mended.applied, mended.bad, mended.rejects) == (3, 0, None)
    assert {row["username"] for row in came[-1].payload["rows"]} == {"bob", "eve", "zoe"}


async def test_the_reason_is_in_its_column_however_many_cells_a_row_has(
    producer: Producer, users: Path
) -> None:
    reason = "age: Input should be a valid integer"
    path = table(users, ["zoe,", "bob", "eve,2,3,4", "ada,x"], "username,age")
    loaded = await load(producer, path, CreateUser, on_error="skip")
    assert loaded.rejects is not None
    with loaded.rejects.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["username"] for row in rows] == ["bob", "eve", "ada"]
    assert [row["_error"].partition(",")[0] for row in rows] == ["1 cells", "4 cells", reason]
    assert rows[1][None] == ["3", "4"]
    mended = await load(producer, loaded.rejects, CreateUser, on_error="skip")
    assert mended.rejects is not None
    with mended.rejects.open(newline="") as file:
        again = [*csv.DictReader(file)]
    assert [row["username"] for row in again] == ["eve", "ada"]
    assert again[0]["_error"].startswith("5 cells, where the header has 3")


async def test_dead_rows_are_among_the_rejected_ones(producer: Producer, users: Path) -> None:
    path = table(users, ["ada,1", "bob,2"])
    dead = Answer(Ending.DEAD, error={"code": "bug", "message": "given up"})
    async with worker(producer, lambda _: dead):
        loaded = await load(producer, path, CreateUser, wait=True)
    assert loaded.dead == 2
    assert loaded.rejects is not None
    assert loaded.rejects.read_text() == "username,age,_error\nada,1,given up\nbob,2,given up\n"


async def test_a_row_that_was_not_mended_is_rejected_again(producer: Producer, users: Path) -> None:
    first = await load(producer, table(users, ["zoe,1,2", "bob,x"]), CreateUser, on_error="skip")
    assert first.rejects is not None
    again = await load(producer, first.rejects, CreateUser, on_error="skip")
    assert (again.bad, again.accepted) == (2, 0)
    assert again.rejects == users.with_name("users.rejected.rejected.csv")
    assert again.rejects.read_text().splitlines()[0] == "username,age,_error"
    assert again.rejects.read_text().splitlines()[2] == first.rejects.read_text().splitlines()[2]


async def test_rejected_lines_of_json_have_their_reason_in_them(producer: Producer, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(b'{"username": "ada", "age": -1}\n{"username":\n[1]\n{"name": "\xff"}\n')
    loaded = await load(producer, path, CreateUser, on_error="skip")
    assert loaded.rejects == tmp_path / "users.rejected.jsonl"
    first, *others = loaded.rejects.read_bytes().splitlines()
    assert set(json.loads(first)) == {"username", "age", "_error"}
    assert others[:2] == [b'{"username":', b"[1]"]
    assert b"\xff" in others[2]
    path.write_text(first.decode().replace("-1", "1"))
    assert (await load(producer, path, CreateUser)).accepted == 1


async def test_a_file_of_rejected_rows_is_never_written_over(producer: Producer, users: Path) -> None:
    users.with_name("users.rejected.csv").write_text("being mended")
    loaded = await load(producer, table(users, ["ada,x"]), CreateUser, on_error="skip")
    assert loaded.rejects == users.with_name("users.rejected-2.csv")
    assert users.with_name("users.rejected.csv").read_text() == "being mended"


def test_there_is_an_end_to_files_of_rejected_rows(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.load.rejects._MOST_FILES", 1)
    users.with_name("users.rejected.csv").touch()
    with Rejects(users, "csv", Columns(Fields(CreateUser))) as rejects, pytest.raises(FileExistsError):
        rejects.add(["ada"], "why")
