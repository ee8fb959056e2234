"""Whether a process makes progress: its loop turns, its engine looks, and Redis has its time to answer."""

import asyncio

import pytest

from worker.monitoring.progress import PATIENCE, Progress

REDIS_TIMEOUT = 5.0


class Time:
    """The monotonic clock, as a test sets it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("worker.monitoring.progress.time", time)
    return time


@pytest.fixture
async def progress(time: Time) -> Progress:  # noqa: ARG001  # it reads that clock
    progress = Progress(REDIS_TIMEOUT)
    progress.begin()
    return progress


async def nothing() -> None:
    pass


async def test_a_loop_that_does_not_turn_is_told_also_before_the_work(progress: Progress, time: Time) -> None:
    time.now += PATIENCE
    assert (progress.stopped, progress.idle) == ("", PATIENCE)
    time.now += 1
    assert progress.stopped.startswith("its event loop has stood still for 9 s")
    progress.begin()
    assert (progress.stopped, progress.idle) == ("", 0)


async def test_an_engine_that_does_not_look_is_told(progress: Progress, time: Time) -> None:
    await progress.look(nothing)
    time.now += PATIENCE + 1
    progress.begin()
    assert progress.stopped.startswith("its engine has not looked at the queue for 9 s")
    assert progress.idle == PATIENCE + 1
    await progress.look(nothing)
    assert progress.stopped == ""


async def test_an_engine_that_has_ended_its_work_looks_no_more(progress: Progress, time: Time) -> None:
    await progress.look(nothing)
    assert progress.at_work
    progress.end()
    time.now += PATIENCE + 1
    progress.begin()
    assert (progress.at_work, progress.stopped, progress.idle) == (False, "", 0)


async def test_redis_may_take_its_time_to_answer_but_not_for_ever(progress: Progress, time: Time) -> None:
    answer = asyncio.Event()

    async def ask() -> None:
        await answer.wait()

    looking = asyncio.create_task(progress.look(ask))
    await asyncio.sleep(0)
    time.now += PATIENCE + 3 * REDIS_TIMEOUT
    progress.begin()
    assert progress.stopped == ""
    time.now += 1
    progress.begin()
    assert progress.stopped.startswith("its engine has not looked")
    answer.set()
    await looking
    assert progress.stopped == ""
