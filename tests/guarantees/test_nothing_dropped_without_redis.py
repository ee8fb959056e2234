"""Nothing is dropped when Redis goes away: not what was sent, not what runs, not what waits."""

import signal

import pytest
from arq.constants import in_progress_key_prefix

from producers import Producer
from producers.settings import QueueSettings
from tests.guarantees.conftest import Counters
from tests.guarantees.counters import Bump
from tests.guarantees.counters_app import PATH
from tests.guarantees.redis_proxy import proxied
from tests.processes import ARQ, WORKER, Process, environment_of
from tests.proxy import Proxy, Way
from tests.waiting import until
from worker.demo.servers import RedisServer

RUN = ("--app", PATH, "run")
OURS = (*WORKER, *RUN)
AWAY = "Redis is away"
ARQS = (*ARQ, f"{PATH}.WorkerSettings")


@pytest.fixture
def environment(database_url: str, queue: QueueSettings) -> dict[str, str]:
    return environment_of(database_url, queue.redis_url, queue.name)


@pytest.fixture
def own_queue(own_redis_url: str, queue_name: str) -> QueueSettings:
    """A queue on a Redis that may be killed."""
    return QueueSettings(redis_url=own_redis_url, name=queue_name)


@pytest.fixture
def own_environment(database_url: str, own_queue: QueueSettings) -> dict[str, str]:
    return environment_of(database_url, own_queue.redis_url, own_queue.name)


async def test_a_send_whose_reply_is_lost_is_accepted_once(queue: QueueSettings, producer: Producer) -> None:
    async with proxied(queue) as (proxy, behind), Producer(settings=behind) as cut_off:
        lost = proxy.on_bytes(lambda way, data: way is Way.REPLY and b"accepted" in data, proxy.cut)
        receipt = await cut_off.send(Bump(name="n"))

    assert lost.is_set()
    assert receipt.status == "accepted"
    assert await producer.redis.zcard(queue.name) == 1
    assert await producer.redis.exists(producer.keys.job(receipt.command_id))


@pytest.mark.parametrize(
    ("program", "moment"),
    [(OURS, b'"ending": "applied"'), (ARQS, b"arq:abort"), (ARQS, b'"ending": "applied"')],
    ids=["our process", "the arq command, at finish", "the arq command, at the answer"],
)
async def test_a_command_that_committed_while_redis_went_away_is_settled_later_and_not_applied_again(
    program: tuple[str, ...],
    moment: bytes,
    environment: dict[str, str],
    producer: Producer,
    counters: Counters,
) -> None:
    queue = producer.settings
    async with proxied(queue) as (proxy, behind):
        environment["REDIS_URL"] = behind.redis_url
        away = proxy.on_bytes(
            lambda way, data: way is Way.REQUEST and moment in data, lambda: _go_away(proxy)
        )
        receipt = await producer.send(Bump(name="n"))
        with Process(program=program, environment=environment) as worker:
            await until(away.is_set)
            if program is OURS:
                await worker.says(AWAY)
            else:
                assert await worker.end() == 1  # arq's own gives up, and whoever started it starts it again
            assert await counters() == {"n": 1}
            assert await producer.redis.zcard(queue.name) == 1

            proxy.accept()
            if program is OURS:
                await _settled(producer, receipt.command_id)
                assert await worker.stop() == 0
        if program is ARQS:
            await producer.redis.delete(in_progress_key_prefix + producer.keys.job_id(receipt.command_id))
            with Process(program=program, environment=environment) as worker:
                await _settled(producer, receipt.command_id)

    assert await receipt.result(1) == 1
    assert await counters() == {"n": 1}


async def test_a_redis_that_says_nothing_any_more_is_noticed(
    environment: dict[str, str], producer: Producer, counters: Counters
) -> None:
    async with proxied(producer.settings) as (proxy, behind):
        environment |= {
            "REDIS_URL": behind.redis_url,
            "QUEUE_REDIS_TIMEOUT": "0.5",
            "QUEUE_REDIS_RETRIES": "0",
        }
        with Process(*RUN, environment=environment) as worker:
            await worker.says("worker.started")
            proxy.blackhole()
            await worker.says(AWAY)
            proxy.resume()
            assert await (await producer.send(Bump(name="n"))).result(20) == 1
            assert await worker.stop() == 0

    assert await counters() == {"n": 1}


async def test_a_redis_that_is_killed_and_comes_back_has_lost_nothing_and_finds_its_worker_there(
    own_environment: dict[str, str], own_redis: RedisServer, own_queue: QueueSettings, counters: Counters
) -> None:
    async with Producer(settings=own_queue) as producer:
        with Process(*RUN, environment=own_environment) as worker:
            first = await producer.send(Bump(name="n"))
            assert await first.result(10) == 1
            waiting = await producer.send(Bump(name="n"), delay=1)

            own_redis.kill()
            await worker.says(AWAY)
            own_redis.start()

            then = await producer.send(Bump(name="n"))
            assert {await waiting.result(20), await then.result(20)} == {2, 3}
            assert await worker.stop() == 0

    assert await counters() == {"n": 3}


async def test_a_worker_that_waits_for_redis_hears_sigterm(
    own_environment: dict[str, str], own_redis: RedisServer
) -> None:
    with Process(*RUN, environment=own_environment) as worker:
        await worker.says("worker.started")
        own_redis.stop()
        await worker.says(AWAY)
        worker.send(signal.SIGTERM)
        assert await worker.end() == 0


def _go_away(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


async def _settled(producer: Producer, command_id: object) -> None:
    """Wait until the job has left the queue."""
    job_id = f"{producer.keys.queue}:{command_id}"

    async def has_left() -> bool:
        return await producer.redis.zscore(producer.keys.queue, job_id) is None

    await until(has_left)
