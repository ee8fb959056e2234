"""Nothing is dropped that arq would drop.

Each test is a way of arq's own Worker to lose a job or to run it twice, and shows that here it has one
ending. What nobody can read, and how workers and Redis go away in the middle, is in the files beside this.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from arq.constants import abort_jobs_ss, in_progress_key_prefix, retry_key_prefix
from sqlalchemy.ext.asyncio import AsyncSession

from producers import CommandRejected, Producer
from producers.commands import CreateUser, GetUser
from producers.settings import QueueSettings
from producers.wire import Ending
from tests.guarantees.conftest import Counters, Drain, MakeApp, Rows, Running, on_plain_arq
from tests.guarantees.counters import Bump, bump
from tests.guarantees.failing import failing
from tests.waiting import until
from worker.deposits import Answered
from worker.transport import Transport


async def test_an_exception_does_not_end_the_command(
    make_app: MakeApp, producer: Producer, counters: Counters, endings: Rows, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"))

    await drain(make_app({Bump: failing(2, ValueError("not yet"))}))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}
    assert [row.ending for row in await endings()] == [Ending.APPLIED]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3)], ids=repr)
async def test_a_handler_that_cancels_itself_or_quits_has_failed_like_any_other(
    error: BaseException, make_app: MakeApp, producer: Producer, letters: Rows, drain: Drain
) -> None:
    await producer.send(Bump(name="n"))

    await drain(make_app({Bump: failing(3, error)}, max_attempts=3))

    [letter] = await letters()
    assert (letter.state, letter.attempts) == ("dead", 3)


async def test_arqs_own_timeout_does_not_end_the_command(
    make_app: MakeApp, producer: Producer, counters: Counters, running: Running
) -> None:
    runs = 0

    async def hang_at_first(session: AsyncSession, command: Bump) -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            await asyncio.Event().wait()
        return await bump(session, command)

    async with running(make_app({Bump: hang_at_first}, max_attempts=1)) as worker:
        execute = worker.functions["execute"]
        assert execute.timeout_s is not None
        execute.timeout_s = 0.2
        assert await (await producer.send(Bump(name="n"))).result(10) == 1

    assert (runs, await counters()) == (2, {"n": 1})


@on_plain_arq
async def test_arqs_own_timeout_after_commit_does_not_apply_it_twice(
    make_app: MakeApp, producer: Producer, counters: Counters, endings: Rows, running: Running
) -> None:
    class SlowAtFirst(Transport):
        turns = 0

        async def deposit(self, answered: Answered) -> None:
            self.turns += 1
            if self.turns == 1:
                await asyncio.Event().wait()
            await super().deposit(answered)

    app = make_app({Bump: bump})
    async with running(app) as worker:
        await until(lambda: "transport" in worker.ctx)
        slow = worker.ctx["transport"] = SlowAtFirst(app, worker.pool)
        worker.functions["execute"].timeout_s = 0.5
        assert await (await producer.send(Bump(name="n"))).result(10) == 1

    assert (slow.turns, await counters(), len(await endings())) == (2, {"n": 1}, 1)


async def test_more_tries_than_arq_allows_do_not_end_the_command(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"))
    await producer.redis.set(retry_key_prefix + producer.keys.job_id(receipt.command_id), 1_000_000)

    await drain(make_app({Bump: failing(9, ValueError("not yet"))}, max_attempts=10))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_a_job_has_no_time_to_live_when_it_is_sent_and_when_it_is_retried(
    make_app: MakeApp, producer: Producer, counters: Counters, running: Running
) -> None:
    receipt = await producer.send(Bump(name="n"))
    job = producer.keys.job(receipt.command_id)
    assert await producer.redis.ttl(job) == -1

    app = make_app({Bump: failing(1, ValueError("not yet"))}, backoff=1000, backoff_cap=1000)
    async with running(app):
        await until(lambda: _is_put_off(producer, producer.keys.job_id(receipt.command_id)))

    assert await producer.redis.ttl(job) == -1
    assert await counters() == {}


async def test_a_command_due_in_a_year_is_there_in_a_year(
    make_app: MakeApp, producer: Producer, queue: QueueSettings, counters: Counters, drain: Drain
) -> None:
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)
    receipt = await producer.send(Bump(name="n"), at=due)
    job_id = producer.keys.job_id(receipt.command_id)
    assert await producer.redis.ttl(producer.keys.job(receipt.command_id)) == -1
    assert await producer.redis.zscore(queue.name, job_id) == due.timestamp() * 1000

    # A year later, by arq's clock and by ours.
    job = producer.keys.job(receipt.command_id)
    body = await producer.redis.get(job)
    await producer.redis.set(job, body.replace(b'"due":%d' % (due.timestamp() * 1000), b'"due":1'))
    await producer.redis.zadd(queue.name, {job_id: 1})
    await drain(make_app({Bump: bump}))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


@pytest.mark.parametrize(
    "due", [datetime(2020, 2, 29, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)], ids=str
)
async def test_a_due_time_long_past_is_now(
    due: datetime, make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"), at=due)

    await drain(make_app({Bump: bump}))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_only_a_deadline_of_its_own_makes_a_command_expire_and_that_is_recorded(
    make_app: MakeApp, producer: Producer, counters: Counters, endings: Rows, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"), deadline=datetime.now(UTC) - timedelta(seconds=1))

    await drain(make_app({Bump: bump}))

    with pytest.raises(CommandRejected, match="deadline") as caught:
        await receipt.result(1)
    assert caught.value.code == "expired"
    assert [row.ending for row in await endings()] == [Ending.EXPIRED]
    assert await counters() == {}


@on_plain_arq
async def test_the_late_retry_of_a_zombie_does_not_bring_a_finished_job_back(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain, running: Running
) -> None:
    class Frozen(Transport):
        frozen, thaw = asyncio.Event(), asyncio.Event()

        async def reschedule(self, job_id: str, delay: float) -> None:
            self.frozen.set()
            await self.thaw.wait()
            await super().reschedule(job_id, delay)

    app = make_app({Bump: failing(1, ValueError("not yet"))}, concurrency=1)
    async with running(app) as zombie:
        await until(lambda: "transport" in zombie.ctx)
        frozen = zombie.ctx["transport"] = Frozen(app, zombie.pool)
        receipt = await producer.send(Bump(name="n"))
        await frozen.frozen.wait()
        await producer.redis.delete(in_progress_key_prefix + producer.keys.job_id(receipt.command_id))
        await drain(make_app({Bump: bump}))  # another worker runs it meanwhile
        frozen.thaw.set()
        await until(lambda: zombie.jobs_retried == 1 and not zombie.tasks)

    assert await producer.redis.zcard(producer.keys.queue) == 0
    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_the_same_id_on_two_queues_does_not_collide(
    make_app: MakeApp, producer: Producer, queue: QueueSettings, counters: Counters, drain: Drain
) -> None:
    other = queue.model_copy(update={"name": f"{queue.name}-2"})
    async with Producer(settings=other) as elsewhere:
        here = await producer.send(Bump(name="n"), command_id="the same")
        there = await elsewhere.send(Bump(name="n"), command_id="the same")
        assert (here.status, there.status) == ("accepted", "accepted")

        await drain(make_app({Bump: bump}))
        assert await here.result(1) == 1
        assert await producer.redis.zcard(other.name) == 1

        app = make_app({Bump: bump})
        app.queue = other
        await drain(app)
        assert await there.result(1) == 1

    assert await counters() == {"n": 1}


async def test_a_stale_request_to_abort_does_not_end_the_next_job_of_that_id(
    make_app: MakeApp, producer: Producer, counters: Counters, drain: Drain
) -> None:
    receipt = await producer.send(Bump(name="n"))
    await producer.redis.zadd(abort_jobs_ss, {producer.keys.job_id(receipt.command_id): 1})

    await drain(make_app({Bump: bump}))

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_arqs_log_lines_hold_no_arguments(
    make_app: MakeApp, producer: Producer, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="arq.worker")
    logging.getLogger("arq.worker").addHandler(caplog.handler)  # the worker sets up logs of its own
    await producer.send(CreateUser(name="Ada Lovelace"))
    await producer.send(GetUser(username="countess"))

    await drain(make_app())

    logging.getLogger("arq.worker").removeHandler(caplog.handler)
    told = [record.getMessage() for record in caplog.records if record.name == "arq.worker"]
    assert any("execute(" in line for line in told)
    assert not [line for line in told if "Lovelace" in line or "countess" in line]


async def _is_put_off(producer: Producer, job_id: str) -> bool:
    """Whether the job waits for a time to come."""
    seconds, _ = await producer.redis.time()
    score = await producer.redis.zscore(producer.keys.queue, job_id)
    return score is not None and score > seconds * 1000
