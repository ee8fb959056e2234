"""The end of a worker process, where a signal comes at a bad moment."""

import asyncio
from signal import SIGTERM

import pytest

from producers.settings import QueueSettings
from tests.waiting import until
from worker.app import App
from worker.models.migrations import EXAMPLE
from worker.process import _Process
from worker.settings import WorkerOptions


async def test_a_worker_ends_though_the_cancellation_of_its_polling_is_lost(
    database_url: str, redis_url: str, queue_name: str
) -> None:
    """asyncio.wait_for of Python 3.11, by which redis-py sends, loses it now and then."""
    queue = QueueSettings(redis_url=redis_url, name=queue_name)
    app = App({}, settings=WorkerOptions(database_url=database_url), queue=queue, migrations=[EXAMPLE])
    worker = _Process(app, burst=False)
    working = asyncio.create_task(worker.async_run())
    try:
        await until(lambda: worker.started)
        worker._end(SIGTERM)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(working, 10)
    finally:
        working.cancel()
        await worker.close()
