"""What is seen of the servers from beside the work: on connections of its own, and never for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from producers.settings import QueueSettings
from tests.databases import engine_on
from tests.proxy import Proxy
from worker.app import App
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.monitoring.inspector import Inspector
from worker.settings import WorkerOptions


@pytest.fixture
def queue(redis_url: str, queue_name: str) -> QueueSettings:
    return QueueSettings(redis_url=redis_url, name=queue_name, redis_retries=0)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    url = make_url(database_url)
    async with Proxy(str(url.host), url.port or 5432) as proxy:
        yield proxy


async def looked(app: App) -> tuple[Any, Any, dict[str, str]]:
    """What it sees of the queue, of the records, and what is wrong: from another thread, as it is used."""

    def look() -> tuple[Any, Any, dict[str, str]]:
        with Inspector(app) as inspector:
            found = inspector.queue(), inspector.records(), inspector.checks()
            return found[0], found[1], {check.name: check.problem for check in found[2] if check.problem}

    return await asyncio.to_thread(look)


@pytest.mark.databases
async def test_it_sees_the_servers_of_the_settings(database_url: str, queue: QueueSettings) -> None:
    app = App(HANDLERS, settings=WorkerOptions(database_url=database_url), queue=queue, migrations=[EXAMPLE])
    seen, records, problems = await looked(app)
    assert seen["queue"]["name"] == queue.name
    assert records == {"outbox": {"unpublished": 0, "oldest_s": 0.0}, "dead_letters": {}}
    assert problems == {}


async def test_it_sees_the_database_of_a_given_engine_and_takes_none_of_its_connections(
    engine: AsyncEngine, queue: QueueSettings
) -> None:
    app = App(HANDLERS, sessions=async_sessionmaker(engine), settings=WorkerOptions(), queue=queue)
    taken: list[object] = []
    event.listen(engine.sync_engine, "checkout", lambda *_: taken.append(1))
    _, records, problems = await looked(app)
    assert records["dead_letters"] == {}
    assert problems == {}
    assert taken == []


@pytest.mark.slow
async def test_a_database_that_says_nothing_is_told_in_a_few_seconds(
    database_url: str, queue: QueueSettings, proxy: Proxy
) -> None:
    through = make_url(database_url).set(host=proxy.host, port=proxy.port)
    url = through.render_as_string(hide_password=False)
    app = App(HANDLERS, settings=WorkerOptions(database_url=url), queue=queue)
    proxy.blackhole()
    seen, records, problems = await looked(app)
    assert seen["queue"]["name"] == queue.name
    assert records is None
    assert problems == {"database": "does not answer (TimeoutError)"}


async def test_what_is_missing_before_migrations_is_told(
    empty_database_url: str, queue: QueueSettings
) -> None:
    app = App(HANDLERS, settings=WorkerOptions(database_url=empty_database_url), queue=queue)
    _, records, problems = await looked(app)
    assert records is None
    assert set(problems) == {"migrations"}


async def test_the_engine_for_other_loops_is_on_the_same_database(database_url: str) -> None:
    engine = engine_on(database_url)
    apart = App(HANDLERS, sessions=async_sessionmaker(engine), settings=WorkerOptions()).apart()
    assert apart.engine is not engine
    assert apart.engine.url == engine.url
    await engine.dispose()
