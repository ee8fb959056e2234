"""What the engine cannot know it asks: on_unreadable, on_poison; on_settle may say more to Redis."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.jobs import DeserializationError, Job
from arq.worker import JobExecutionFailed, RetryJob

from tests.engine.conftest import MakeEngine, is_settled, running
from tests.engine.test_unreadable import WAYS, each_way, unknown
from tests.waiting import until
from worker.engine import Claim, Say, Script, Settlement
from worker.engine.broker import _SETTLE, CLAIM, Broker


async def work(_ctx: dict[str, Any]) -> str:
    return "done"


async def fail(_ctx: dict[str, Any]) -> None:
    raise ValueError("no")


class Asked:
    """Answers with `verb`, or for None leaves it to the engine; notes what it was asked about."""

    def __init__(self, verb: Any = None, **settled: Any) -> None:
        self.verb, self.settled = verb, settled
        self.claims: list[Claim] = []
        self.problems: list[Exception] = []

    async def unreadable(self, claim: Claim, problem: Exception) -> Settlement | None:
        self.claims.append(claim)
        self.problems.append(problem)
        return self.verb and Settlement(claim, self.verb, **self.settled)

    async def poison(self, claim: Claim) -> Settlement | None:
        self.claims.append(claim)
        return self.verb and Settlement(claim, self.verb, **self.settled)


@each_way
async def test_on_unreadable_is_asked_first_and_may_keep_the_job(
    make_engine: MakeEngine, producer: ArqRedis, way: Any
) -> None:
    # | what cannot be read or is unknown is finished | `on_unreadable` is asked first |
    asked = Asked("later", delay=3_600_000)
    await way(producer)
    payload = await producer.get("arq:job:mine")
    worker = make_engine({"work": work}, on_unreadable=asked.unreadable)
    async with running(worker):
        await until(lambda: bool(asked.claims))
        await until(lambda: _is_free(producer))
    [claim], [problem] = asked.claims, asked.problems
    assert (claim.job_id, claim.body) == ("mine", payload)
    kind, text = WAYS[way]
    assert type(problem) is kind
    assert text in str(problem)
    seconds, _ = await producer.time()
    score = await producer.zscore(producer.default_queue_name, "mine")
    assert score == pytest.approx((seconds + 3600) * 1000, abs=60_000)
    assert await producer.get("arq:job:mine") == payload
    assert not await producer.exists("arq:result:mine")
    assert worker.jobs_failed == 0


async def _is_free(producer: ArqRedis) -> bool:
    return not await producer.exists("arq:in-progress:mine")


@each_way
async def test_on_unreadable_may_leave_it_to_the_engine(
    make_engine: MakeEngine, producer: ArqRedis, way: Any
) -> None:
    asked = Asked()
    await way(producer)
    worker = make_engine({"work": work}, burst=True, on_unreadable=asked.unreadable)
    await worker.async_run()
    assert len(asked.claims) == 1
    assert worker.jobs_failed == 1
    with pytest.raises((JobExecutionFailed, DeserializationError)):
        await Job("mine", producer, producer.default_queue_name).result(timeout=5)
    assert await is_settled(producer, "mine")


async def test_on_unreadable_that_raises_ends_the_job_and_not_the_worker(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    async def raises(_claim: Claim, _problem: Exception) -> None:
        raise ValueError("no")

    await unknown(producer)
    async with running(make_engine({"work": work}, on_unreadable=raises)) as at_work:
        await until(lambda: is_settled(producer, "mine"))
        assert not at_work.done()
    with pytest.raises(ValueError, match="no"):
        await Job("mine", producer, producer.default_queue_name).result(timeout=5)


async def died(producer: ArqRedis, queue: str, times: int) -> None:
    """Claim a job as often as said and never say a word again, as a process that is killed."""
    await producer.enqueue_job("work", _job_id="mine")
    broker = Broker(producer, queue, lease=10, aborts=False)
    for _ in range(times):
        look = await broker.exchange([], 1)
        assert look is not None
        assert len(look.claims) == 1
        await producer.delete("arq:in-progress:mine")
        await producer.zadd(queue, {"mine": 1})
    await broker.close()


async def test_on_poison_is_asked_about_a_job_that_has_ended_its_process_time_and_again(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str
) -> None:
    asked = Asked("finish", result=b"poison")
    await died(producer, queue_name, 3)
    await make_engine({"work": work}, burst=True, on_poison=asked.poison).async_run()
    assert [(claim.job_id, claim.silent, claim.tries) for claim in asked.claims] == [("mine", 3, 4)]
    assert await producer.get("arq:result:mine") == b"poison"
    assert await is_settled(producer, "mine")


async def test_on_poison_may_let_it_run_once_more(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str
) -> None:
    asked = Asked()
    await died(producer, queue_name, 3)
    await make_engine({"work": work}, burst=True, on_poison=asked.poison).async_run()
    assert len(asked.claims) == 1
    assert await Job("mine", producer, queue_name).result(timeout=5) == "done"


@pytest.mark.parametrize(("times", "after", "calls"), [(2, 3, 0), (2, 2, 1), (5, 6, 0)])
async def test_on_poison_is_asked_from_the_given_number_on(
    make_engine: MakeEngine, producer: ArqRedis, queue_name: str, times: int, after: int, calls: int
) -> None:
    asked = Asked()
    await died(producer, queue_name, times)
    worker = make_engine({"work": work}, burst=True, on_poison=asked.poison, poison_after=after, max_tries=99)
    await worker.async_run()
    assert len(asked.claims) == calls


async def test_runs_that_ended_with_a_word_are_no_poison(make_engine: MakeEngine, producer: ArqRedis) -> None:
    asked = Asked()

    async def again(ctx: dict[str, Any]) -> None:
        if ctx["job_try"] < 5:
            raise RetryJob

    await producer.enqueue_job("again")
    await make_engine({"again": again}, burst=True, on_poison=asked.poison).async_run()
    assert asked.claims == []


NOTE = """
    -- %s
    redis.call('RPUSH', KEYS[1], ARGV[1] .. ' ' .. redis.call('EXISTS', 'arq:in-progress:' .. ARGV[1]))
"""


async def test_what_on_settle_says_comes_before_the_settling(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    settled: list[Settlement] = []
    script = Script(NOTE % uuid.uuid4())  # Redis does not know it yet, and the engine's own it does
    for known in (_SETTLE, CLAIM):
        await producer.script_load(known.text)

    def note(say: Say, ended: Sequence[Settlement]) -> None:
        settled.extend(ended)
        for one in ended:
            say(script, ["note"], [one.claim.job_id])

    for number in range(20):
        await producer.enqueue_job("work", _job_id=str(number))
    await producer.enqueue_job("fail", _job_id="failed")
    worker = make_engine({"work": work, "fail": fail}, burst=True, max_jobs=5, on_settle=note)
    await worker.async_run()
    expected = sorted([*(f"{number} 1" for number in range(20)), "failed 1"])
    notes: list[bytes] = await producer.lrange("note", 0, -1)  # type: ignore[misc]
    assert sorted(note.decode() for note in notes) == expected
    values = {one.claim.job_id: (one.verb, one.value) for one in settled}
    assert values["3"] == ("finish", "done")
    assert values["failed"] == ("finish", None)


async def test_what_redis_refuses_of_it_does_not_hold_up_the_settling(
    make_engine: MakeEngine, producer: ArqRedis, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(say: Say, _ended: Sequence[Settlement]) -> None:
        say(Script("return redis.call('GET')"), [], [])

    job = await producer.enqueue_job("work")
    assert job is not None
    await make_engine({"work": work}, burst=True, on_settle=wrong).async_run()
    assert await job.result(timeout=5) == "done"
    assert "Redis refuses" in caplog.text


async def test_on_settle_that_raises_does_not_end_the_worker(
    make_engine: MakeEngine, producer: ArqRedis
) -> None:
    def raises(_say: Say, _ended: Sequence[Settlement]) -> None:
        raise ValueError("no")

    async with running(make_engine({"work": work}, on_settle=raises)) as at_work:
        for _ in range(2):
            job = await producer.enqueue_job("work")
            assert job is not None
            assert await job.result(timeout=5, poll_delay=0.01) == "done"
        assert not at_work.done()
