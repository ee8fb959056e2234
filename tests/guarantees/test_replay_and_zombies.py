"""A replay is not undone by what is left of its failure: late deliveries change and remove nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import pytest
from arq.constants import in_progress_key_prefix
from arq.worker import Worker
from sqlalchemy.ext.asyncio import AsyncSession

from producers import CommandDead, Producer
from producers.wire import Ending
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import broken, failing
from tests.waiting import until
from worker import engine
from worker.app import App
from worker.deposits import Answered
from worker.replay import replay
from worker.transport import Transport

pytestmark = pytest.mark.databases("postgresql", "mariadb")  # SQLite has one writer at a time


class Frozen(Transport):
    """Stands still right before it leaves an answer, or right after, until it is thawed."""

    def __init__(self, app: App, worker: Worker, where: str) -> None:
        super().__init__(app, worker.pool)
        self.where, self.reached, self.thawed = where, asyncio.Event(), asyncio.Event()

    async def deposit(self, answered: Answered) -> None:
        if self.where == "before":
            await self._stand()
        await super().deposit(answered)
        if self.where == "after":
            await self._stand()

    async def _stand(self) -> None:
        self.reached.set()
        await self.thawed.wait()


class FrozenEngine:
    """The same of the engine, in the round trip that settles: before it is sent, or before it is answered."""

    def __init__(self, worker: engine.Worker, where: str) -> None:
        self.where, self.reached, self.thawed = where, asyncio.Event(), asyncio.Event()
        self._exchange = worker._broker.exchange
        worker._broker.exchange = self.exchange  # type: ignore[method-assign, assignment]

    async def exchange(self, ended: Sequence[engine.Settlement], *others: Any) -> Any:
        if ended and self.where == "before":
            await self._stand()
        reply = await self._exchange(ended, *others)
        if ended and self.where == "after":
            await self._stand()
        return reply

    async def _stand(self) -> None:
        self.reached.set()
        await self.thawed.wait()


@asynccontextmanager
async def zombie(
    app: App, running: Running, where: Literal["before", "after"]
) -> AsyncIterator[Frozen | FrozenEngine]:
    """A worker with one slot that will be frozen."""
    async with running(app) as worker:
        await until(lambda: "transport" in worker.ctx)
        frozen: Frozen | FrozenEngine
        if isinstance(worker, engine.Worker):
            frozen = FrozenEngine(worker, where)
        else:
            frozen = worker.ctx["transport"] = Frozen(app, worker, where)
        yield frozen
        frozen.thawed.set()


@pytest.fixture
def mended(make_app: MakeApp, counters: Counters) -> App:  # noqa: ARG001  # the table has to be there
    """An App with one slot whose Bump fails for good at first, and then no more."""
    return make_app({Bump: failing(1, ValueError("a bug"))}, max_attempts=1, concurrency=1)


async def test_a_worker_that_is_late_to_finish_the_failure_does_not_remove_the_replay(
    mended: App, producer: Producer, running: Running
) -> None:
    async with zombie(mended, running, "after") as frozen:
        receipt = await producer.send(Bump(name="n"))
        await frozen.reached.wait()
        with pytest.raises(CommandDead):  # its producer knows, so somebody may replay it at once
            await receipt.result(1)
        await replay(mended, producer.redis, receipt.command_id)
        await replay(mended, producer.redis, receipt.command_id)  # once more: it is on its way already
        frozen.thawed.set()
        assert await receipt.result(10) == 1


async def test_a_worker_that_wakes_after_the_replay_does_not_take_it_out_of_the_queue(
    mended: App, producer: Producer, drain: Drain, running: Running
) -> None:
    async with zombie(mended, running, "before") as frozen:
        receipt = await producer.send(Bump(name="n"))
        await frozen.reached.wait()
        await _let_go(producer, receipt.command_id)
        await drain(mended)  # another worker finds the ending, and settles the job
        await replay(mended, producer.redis, receipt.command_id)
        frozen.thawed.set()
        assert await receipt.result(10) == 1


async def test_a_worker_that_wakes_in_its_handler_after_the_replay_changes_nothing(
    make_app: MakeApp, producer: Producer, counters: Counters, endings: Rows, drain: Drain
) -> None:
    inside, thawed = asyncio.Event(), asyncio.Event()

    async def stand(session: AsyncSession, command: Bump) -> int:
        inside.set()
        await thawed.wait()
        return await bump(session, command)

    app = make_app({Bump: bump})
    asleep = asyncio.ensure_future(drain(make_app({Bump: stand}, concurrency=1)))
    receipt = await producer.send(Bump(name="n"))
    await inside.wait()
    await _let_go(producer, receipt.command_id)
    await drain(make_app({Bump: broken}, max_attempts=1))
    await replay(app, producer.redis, receipt.command_id)
    await drain(app)
    thawed.set()
    await asleep

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}
    assert [(row.ending, row.generation) for row in await endings()] == [(Ending.APPLIED, 1)]


async def _let_go(producer: Producer, command_id: UUID) -> None:
    """Let others have the job: the claim of a frozen worker runs out."""
    job_id = producer.keys.job_id(command_id)
    await producer.redis.delete(in_progress_key_prefix + job_id)
    await producer.redis.zadd(producer.keys.queue, {job_id: 1})


async def _is_retrying(letters: Rows) -> bool:
    return [letter.state for letter in await letters()] == ["retrying"]
