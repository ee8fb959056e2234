"""Payloads and results are written and read with the serializers that a worker is given, as in arq."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis, RedisSettings, create_pool

from tests.engine.conftest import Kind, Make


def written(value: dict[str, Any]) -> bytes:
    return b"mine " + json.dumps(value, default=repr).encode()


def read(text: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text.removeprefix(b"mine "))
    return value


async def add(_ctx: dict[str, Any], one: int, other: int) -> int:
    return one + other


async def fail(_ctx: dict[str, Any]) -> None:
    raise ValueError("no")


SETTINGS: dict[str, Any] = {"job_serializer": written, "job_deserializer": read, "burst": True}


@pytest.fixture
async def speaker(redis_url: str, queue_name: str) -> AsyncIterator[ArqRedis]:
    """A producer that writes JSON."""
    pool = await create_pool(
        RedisSettings.from_dsn(redis_url),
        job_serializer=written,
        job_deserializer=read,
        default_queue_name=queue_name,
    )
    yield pool
    await pool.aclose(close_connection_pool=True)


async def test_a_job_and_its_result_are_written_with_the_given_serializer(
    either: Kind, make: Make, speaker: ArqRedis
) -> None:
    job = await speaker.enqueue_job("add", 1, 2)
    assert job is not None
    await make(either, {"add": add}, **SETTINGS).async_run()
    assert await job.result(timeout=5) == 3
    assert (await speaker.get(f"arq:result:{job.job_id}") or b"").startswith(b"mine ")


async def test_an_exception_is_written_with_it_too(either: Kind, make: Make, speaker: ArqRedis) -> None:
    job = await speaker.enqueue_job("fail")
    assert job is not None
    await make(either, {"fail": fail}, **SETTINGS).async_run()
    told = await job.result_info()
    assert told is not None
    assert (told.success, told.result) == (False, "ValueError('no')")
