"""What a job is told by its ctx, and the hooks around it, as in arq."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis
from arq.jobs import JobStatus

from tests.engine.conftest import Kind, Make


async def test_a_job_is_told_what_it_is(either: Kind, make: Make, producer: ArqRedis) -> None:
    told: dict[str, Any] = {}

    async def look(ctx: dict[str, Any]) -> None:
        told.update(ctx)

    before = datetime.now(UTC)
    job = await producer.enqueue_job("look")
    assert job is not None
    info = await job.info()
    assert info is not None
    worker = make(either, {"look": look}, burst=True, ctx={"mine": "here"})
    await worker.async_run()
    assert {name: told[name] for name in ("mine", "job_id", "job_try")} == {
        "mine": "here",
        "job_id": job.job_id,
        "job_try": 1,
    }
    assert (told["score"], type(told["score"])) == (info.score, int)
    assert told["enqueue_time"] == info.enqueue_time
    assert told["enqueue_time"].timestamp() >= before.timestamp() - 0.01
    assert isinstance(told["redis"], ArqRedis)
    assert "job_id" not in worker.ctx


async def test_jobs_may_enqueue_others_with_the_redis_of_their_ctx(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    ran: list[str] = []

    async def first(ctx: dict[str, Any]) -> None:
        ran.append("first")
        await ctx["redis"].enqueue_job("second")

    async def second(_ctx: dict[str, Any]) -> None:
        ran.append("second")

    await producer.enqueue_job("first")
    await make(either, {"first": first, "second": second}, burst=True).async_run()
    assert ran == ["first", "second"]


async def test_hooks_are_told_in_order(either: Kind, make: Make, producer: ArqRedis) -> None:
    order: list[str] = []

    def hook(name: str) -> Callable[[dict[str, Any]], Awaitable[None]]:
        async def told(ctx: dict[str, Any]) -> None:
            order.append(name)
            ctx.setdefault("seen", []).append(name)

        return told

    async def work(_ctx: dict[str, Any]) -> None:
        order.append("the job")

    names = ("on_startup", "on_job_start", "on_job_end", "after_job_end", "on_shutdown")
    await producer.enqueue_job("work")
    worker = make(either, {"work": work}, burst=True, **{name: hook(name) for name in names})
    await worker.async_run()
    assert order == ["on_startup", "on_job_start", "the job", "on_job_end", "after_job_end"]
    if either.__module__.startswith("arq"):
        return  # its `close` warns; what follows is its own test's
    await worker.close()
    assert order[-1] == "on_shutdown"


async def test_hooks_of_a_job_share_its_ctx(either: Kind, make: Make, producer: ArqRedis) -> None:
    seen: list[Any] = []

    async def start(ctx: dict[str, Any]) -> None:
        ctx["note"] = [ctx["job_id"]]

    async def work(ctx: dict[str, Any]) -> None:
        ctx["note"].append("ran")

    async def end(ctx: dict[str, Any]) -> None:
        seen.append([*ctx["note"]])

    await producer.enqueue_job("work", _job_id="mine")
    worker = make(either, {"work": work}, burst=True, on_job_start=start, on_job_end=end, after_job_end=end)
    await worker.async_run()
    assert seen == [["mine", "ran"]] * 2
    assert "note" not in worker.ctx


async def test_the_result_is_recorded_between_the_two_hooks_at_the_end(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    states: list[JobStatus] = []

    async def work(_ctx: dict[str, Any]) -> None: ...

    job = await producer.enqueue_job("work")
    assert job is not None

    async def look(_ctx: dict[str, Any]) -> None:
        states.append(await job.status())

    worker = make(either, {"work": work}, burst=True, on_job_end=look, after_job_end=look)
    await worker.async_run()
    assert states == [JobStatus.in_progress, JobStatus.complete]


async def test_a_job_that_fails_is_told_to_the_hooks_at_the_end(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    ended: list[str] = []

    async def fail(_ctx: dict[str, Any]) -> None:
        raise ValueError("no")

    async def end(ctx: dict[str, Any]) -> None:
        ended.append(ctx["job_id"])

    await producer.enqueue_job("fail", _job_id="mine")
    await make(either, {"fail": fail}, burst=True, on_job_end=end, after_job_end=end).async_run()
    assert ended == ["mine", "mine"]


async def test_what_startup_puts_into_the_ctx_is_there_for_jobs(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    async def startup(ctx: dict[str, Any]) -> None:
        ctx["mine"] = "here"

    async def look(ctx: dict[str, Any]) -> str:
        return str(ctx["mine"])

    job = await producer.enqueue_job("look")
    assert job is not None
    await make(either, {"look": look}, burst=True, on_startup=startup).async_run()
    assert await job.result(timeout=5) == "here"
