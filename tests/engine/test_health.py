"""`arq --check` finds the health of an engine where it finds that of arq's worker."""

import asyncio
import re
import warnings
from typing import Any

import pytest
from arq import worker as arq
from arq.connections import ArqRedis, RedisSettings
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.engine.conftest import Kind, Make, MakeEngine, running, type_of
from tests.waiting import until


async def work(_ctx: dict[str, Any]) -> None: ...


async def check(redis_url: str, queue_name: str, **more: Any) -> int:
    """Check health as the `arq` command does; 0 is good."""
    given = {"redis_settings": RedisSettings.from_dsn(redis_url), "queue_name": queue_name}
    settings: dict[str, Any] = {"functions": [work], **given, **more}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Call to deprecated close")  # arq's
        return await asyncio.to_thread(arq.check_health, settings)


async def test_the_check_finds_a_worker_that_lives(
    either: Kind, make: Make, producer: ArqRedis, redis_url: str, queue_name: str
) -> None:
    assert await check(redis_url, queue_name) == 1
    async with running(make(either, {"work": work})):
        await until(lambda: _exists(producer, f"{queue_name}:health-check"))
        assert await check(redis_url, queue_name) == 0


async def test_the_key_may_have_another_name(
    either: Kind, make: Make, producer: ArqRedis, redis_url: str, queue_name: str
) -> None:
    async with running(make(either, {"work": work}, health_check_key="mine")):
        await until(lambda: _exists(producer, "mine"))
        assert await check(redis_url, queue_name, health_check_key="mine") == 0


async def test_the_record_says_what_was_done_and_lives_a_little_longer_than_an_interval(
    either: Kind, make: Make, producer: ArqRedis
) -> None:
    async with running(make(either, {"work": work}, health_check_interval=0.05, health_check_key="mine")):
        await producer.enqueue_job("work")
        await until(lambda: _says(producer, rb"j_complete=1 j_failed=0 j_retried=0 j_ongoing=\d queued=0$"))
        assert await producer.pttl("mine") <= 1_050


async def _says(producer: ArqRedis, pattern: bytes) -> bool:
    return re.search(pattern, await producer.get("mine") or b"") is not None


async def _exists(producer: ArqRedis, key: str) -> bool:
    return bool(await producer.exists(key))


@pytest.mark.parametrize("kind", ["arq", "engine"])
async def test_the_record_of_a_queue_goes_with_any_worker_of_arq_and_with_none_of_the_engine(
    make: Make, producer: ArqRedis, kind: str
) -> None:
    # | the health key goes with any worker that stops | it runs out |
    worker = make(type_of[kind], {"work": work}, health_check_key="mine")
    async with running(worker):
        await until(lambda: _exists(producer, "mine"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Call to deprecated close")  # arq's
        await worker.close()
    assert await _exists(producer, "mine") is (kind == "engine")


async def test_a_record_that_could_not_be_made_is_made_when_redis_is_back(
    make_engine: MakeEngine, producer: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    async def startup(ctx: dict[str, Any]) -> None:
        record = ctx["redis"].psetex

        async def refuse_once(name: str, *args: Any) -> Any:
            if not refused:
                refused.append(name)
                raise RedisConnectionError("away")
            return await record(name, *args)

        monkeypatch.setattr(ctx["redis"], "psetex", refuse_once)

    async with running(make_engine({"work": work}, health_check_key="mine", on_startup=startup)):
        await until(lambda: bool(refused))
        await until(lambda: _exists(producer, "mine"), seconds=5)
