"""Workers that are killed lose nothing and repeat nothing: each command is applied exactly once."""

import os
import random
from contextlib import ExitStack
from functools import partial

import pytest
from arq.constants import in_progress_key_prefix
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from producers import Producer
from tests.guarantees.conftest import Counters, Rows
from tests.guarantees.counters import Bump
from tests.guarantees.counters_app import PATH
from tests.processes import Process, environment_of, unmeasured
from tests.waiting import until
from worker.tables import worker_tables

KILLS = 50
NAMES = [f"n{number}" for number in range(100)]
EACH = 20
SLOTS = 4
# arq freezes what a killed worker had in hand for the longest that a job may take by these limits and 10 s.
LIMITS = {
    "WORKER_CONCURRENCY": str(SLOTS),
    "WORKER_JOB_TIMEOUT": "1",
    "WORKER_COMMIT_TIMEOUT": "0.5",
    "WORKER_MAX_ATTEMPTS": "1000",
}


class Crew(ExitStack):
    """Two worker processes while the block goes on, each replaced when it is killed."""

    def __init__(self, environment: dict[str, str]) -> None:
        super().__init__()
        self._environment = environment
        self.workers = [self._start(), self._start()]

    def _start(self) -> Process:
        return self.enter_context(Process("--app", PATH, "run", environment=self._environment))

    def at_work(self) -> list[Process]:
        """List those that have ended a command."""
        return [worker for worker in self.workers if "command.ended" in worker.output]

    def kill(self, worker: Process) -> None:
        """Kill one with SIGKILL, and start another in its place."""
        worker.kill()
        self.workers[self.workers.index(worker)] = self._start()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_two_thousand_commands_are_applied_once_each_while_workers_are_killed_fifty_times(
    producer: Producer, counters: Counters, database: AsyncEngine, database_url: str, endings: Rows
) -> None:
    seed = int(os.environ.get("KILL_SEED", random.randrange(2**32)))  # noqa: S311  # not a secret
    print(f"KILL_SEED={seed}")  # noqa: T201  # shown where the test fails
    chance = random.Random(seed)  # noqa: S311
    queue = producer.settings
    commands = [Bump(name=name) for name in NAMES * EACH]
    chance.shuffle(commands)
    receipts = await producer.send_many(commands)

    most_claims = 0
    environment = environment_of(database_url, queue.redis_url, queue.name, **LIMITS)
    with Crew(unmeasured(environment)) as crew:
        ended = 0
        for _ in range(KILLS):
            ended += chance.randint(5, 45)
            await until(partial(_have_ended, database, ended), seconds=60)
            await until(lambda: bool(crew.at_work()), seconds=60)
            crew.kill(chance.choice(crew.at_work()))
            most_claims = max(most_claims, await _claims(producer))
        assert not await _have_ended(database, len(commands))
        await until(lambda: _is_empty(producer), seconds=120)

    assert await counters() == dict.fromkeys(NAMES, EACH)
    assert {row.command_id: row.ending for row in await endings()} == {
        receipt.command_id: "applied" for receipt in receipts
    }
    assert most_claims > 2 * SLOTS  # more than the living can hold: the killed were in the middle of it


async def _have_ended(database: AsyncEngine, wanted: int) -> bool:
    async with database.connect() as connection:
        rows = select(func.count()).select_from(worker_tables(None).processed_commands)
        return int((await connection.execute(rows)).scalar_one()) >= wanted


async def _claims(producer: Producer) -> int:
    """Count the jobs that are in the hands of a worker, alive or dead."""
    pattern = f"{in_progress_key_prefix}{producer.keys.queue}:*"
    return len([key async for key in producer.redis.scan_iter(pattern, count=10_000)])


async def _is_empty(producer: Producer) -> bool:
    waiting: int = await producer.redis.zcard(producer.keys.queue)
    return waiting == 0
