"""Updates of one row, in its lane, against the same in a bare loop: `python -m tests.bench.hot COUNT`.

It prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from uuid import UUID

import uvloop
from uuid_utils.compat import uuid7

from producers import Producer
from producers.commands import Command, CreateUser, UpdateUser
from producers.wire import Answer, Envelope
from worker import executor
from worker.delivery import Delivery
from worker.logs import configure
from worker.main import app
from worker.process import Process, spare_the_collector

from .limits import no_failure

FIGURE, ALONE = "one hot row", "one hot row, in a bare loop"
_WARM = 0.1
_LOOK = 0.005


async def measure(count: int) -> dict[str, dict[str, float]]:
    """Measure both, one after the other, each with a row of its own."""
    configure(app.options)
    app.keep_connections()
    first, second = [CreateUser(name=name) for name in ("alone", "queued")]
    for user in (first, second):
        await _execute(user)
    ready = [UpdateUser(id=first.id, age=number % 100) for number in range(count)]
    spare_the_collector()
    begun = time.perf_counter()
    for command in ready:
        await _execute(command)
    alone = count / (time.perf_counter() - begun)
    return {ALONE: {"rate": alone}, FIGURE: {"rate": await _queued(second.id, count)}}


async def _queued(user_id: UUID, count: int) -> float:
    """Send them, and let a worker come to their end; time what follows the first tenth."""
    async with Producer() as producer:
        await producer.send_many([UpdateUser(id=user_id, age=number % 100) for number in range(count)])
    worker = Process(app, burst=True, handle_signals=False)
    working = asyncio.create_task(worker.async_run())
    begun, first = 0.0, 0
    while not working.done():
        await asyncio.sleep(_LOOK)
        finished = worker.ctx["presence"].finished if "presence" in worker.ctx else 0
        if not begun and finished >= count * _WARM:
            begun, first = time.perf_counter(), finished
    rate = (count - first) / (time.perf_counter() - begun)
    await working
    await worker.close()
    return rate


async def _execute(command: Command[object]) -> None:
    made = command.identified(None)
    envelope = Envelope.of(made, uuid7())
    delivery = Delivery(envelope.id, app.queue.name, b"", envelope, no_failure, revived=made)
    answer = await executor.execute(app, delivery)
    assert isinstance(answer, Answer), answer


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(measure(int(sys.argv[1])))))
