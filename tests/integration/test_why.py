"""`python -m worker why`, and what a burst leaves: who stands before whom, told from outside."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import NullPool, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from producers import Atomic, Producer, Receipt
from producers.settings import QueueSettings
from tests.guarantees import journal
from tests.guarantees.journal import JOURNAL, Write
from tests.guarantees.journal_app import PATH, UNLUCKY
from tests.processes import command_line, environment_of

APP = ("--app", PATH)


@pytest.fixture
async def producer(redis_url: str, queue_name: str) -> AsyncIterator[Producer]:
    async with Producer(settings=QueueSettings(redis_url=redis_url, name=queue_name)) as producer:
        yield producer


@pytest.fixture
def environment(database_url: str, redis_url: str, queue_name: str) -> dict[str, str]:
    return environment_of(database_url, redis_url, queue_name) | {"WORKER_MAX_ATTEMPTS": "1"}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(database_url, poolclass=NullPool)
    await journal.create(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def receipts(producer: Producer) -> list[Receipt[Any]]:
    """Four commands, of which the first keeps all others waiting."""
    both = Atomic([Write(book="a", line=2), Write(book="b", line=2)])
    commands: list[Any] = [
        Write(book="a", line=UNLUCKY),
        Write(book="a", line=1),
        both,
        Write(book="b", line=3),
    ]
    return await producer.send_many(commands)


@pytest.mark.usefixtures("engine")
async def test_a_row_that_stands_still_is_explained(
    environment: dict[str, str], receipts: list[Receipt[Any]]
) -> None:
    dead, second, both, last = (str(receipt.command_id) for receipt in receipts)

    before = await command_line(*APP, "why", "book", "a", environment=environment)
    assert before.stdout.splitlines()[0].endswith("may run, and waits for a worker")

    burst = await command_line(*APP, "run", "--burst", environment=environment)
    assert burst.returncode == 0
    [told] = [json.loads(line) for line in burst.stderr.splitlines() if '"lanes.parked"' in line]
    assert (told["dead"], told["waiting"]) == ([dead], 3)

    why = await command_line(*APP, "why", "book", "a", environment=environment)
    lines = [line.split() for line in why.stdout.splitlines()]
    assert [line[1] for line in lines] == [dead, second, both]
    assert "dead for" in why.stdout.splitlines()[0]
    assert "bug: ValueError in the handler" in why.stdout.splitlines()[0]
    assert [line[-1] for line in lines[1:]] == ["waits", "waits"]

    why = await command_line(*APP, "why", "book", "b", environment=environment)
    assert [line.split()[:2] for line in why.stdout.splitlines()] == [
        ["1", both],
        ["behind", dead],
        ["2", last],
    ]

    as_json = await command_line(*APP, "why", "book", "b", "--limit", "1", "--json", environment=environment)
    found = json.loads(as_json.stdout)
    assert (found["lane"], found["length"], len(found["places"])) == ("book:b", 2, 1)
    assert found["places"][0]["before"][0] | {"seconds": 0} == {
        "command_id": dead,
        "lane": "book:a",
        "state": "dead",
        "kind": "book.write",
        "seconds": 0,
        "runs": 0,
        "told": "bug: ValueError in the handler",
        "before": [],
    }

    status = await command_line(*APP, "status", environment=environment)
    assert status.stdout.splitlines()[1].split()[1:6] == ["0", "0", "0", "3", "1"]


async def test_once_the_dead_one_is_dropped_all_go_on(
    environment: dict[str, str], receipts: list[Receipt[Any]], engine: AsyncEngine
) -> None:
    await command_line(*APP, "run", "--burst", environment=environment)
    dropped = await command_line(*APP, "dead", "drop", str(receipts[0].command_id), environment=environment)
    assert dropped.returncode == 0
    burst = await command_line(*APP, "run", "--burst", environment=environment)
    assert "lanes.parked" not in burst.stderr

    why = await command_line(*APP, "why", "book", "a", environment=environment)
    assert (why.stdout, why.stderr) == ("", "nothing stands in the lane of book a\n")
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(JOURNAL))).scalar_one() == 4


async def test_a_key_is_written_as_the_lane_has_it(environment: dict[str, str]) -> None:
    key = "0198F3A0-0000-7000-8000-00000000000A"
    why = await command_line(*APP, "why", "like", key, "x", "--json", environment=environment)
    assert json.loads(why.stdout) == {"lane": f"like:{key.lower()}:x", "length": 0, "places": []}
