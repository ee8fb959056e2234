"""`python -m worker run`: one process or several, until a signal or an empty queue."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from producers import Producer
from producers.commands import CreateUser
from producers.settings import QueueSettings
from tests.processes import Process, command_line, environment_of
from tests.waiting import until
from worker.health import workers


@pytest.fixture
def queue(redis_url: str, queue_name: str) -> QueueSettings:
    return QueueSettings(redis_url=redis_url, name=queue_name)


@pytest.fixture
async def producer(queue: QueueSettings) -> AsyncIterator[Producer]:
    async with Producer(settings=queue) as producer:
        yield producer


@pytest.fixture
def environment(database_url: str, queue: QueueSettings) -> dict[str, str]:
    return environment_of(database_url, queue.redis_url, queue.name)


@pytest.fixture
def terminal() -> Iterator[None]:
    """A terminal that may close: nohup, where we run under it, hides SIGHUP from its children."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@asynccontextmanager
async def supervised(*arguments: str, environment: dict[str, str]) -> AsyncIterator[Process]:
    """Two workers under a supervisor, which have started; all of them are gone afterwards."""
    with Process("run", "--processes", "2", *arguments, environment=environment) as supervisor:
        try:
            await supervisor.says("worker.started", times=2)
            yield supervisor
        finally:
            for pid in pids(supervisor):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def pids(supervisor: Process) -> list[int]:
    """The processes of the workers that it has started so far."""
    return [event["pid"] for event in supervisor.events("worker.started")]


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_burst_ends_when_the_queue_is_empty(
    processes: str, environment: dict[str, str], producer: Producer
) -> None:
    receipts = await producer.send_many([CreateUser(name=f"n{number}") for number in range(200)])

    run = await command_line("run", "--burst", "--processes", processes, environment=environment)

    assert run.returncode == 0
    assert [(await receipt.result(1)).name for receipt in receipts] == [f"n{number}" for number in range(200)]


async def test_several_processes_share_the_work_and_end_with_one_signal(
    environment: dict[str, str], producer: Producer
) -> None:
    async with supervised("--concurrency", "2", environment=environment) as supervisor:
        await until(lambda: _are_at_work(producer, 2))
        assert {worker["slots"] for worker in await workers(producer.redis, producer.keys)} == {2}
        receipts = await producer.send_many([CreateUser(name=f"n{number}") for number in range(200)])
        for receipt in receipts:
            await receipt.result(20)
        assert await supervisor.stop() == 0

        assert len({event["pid"] for event in supervisor.events("command.ended")}) == 2
        assert await workers(producer.redis, producer.keys) == []
        assert len(supervisor.events("worker.stopped")) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_a_process_that_ends_unasked_is_started_again(
    how: signal.Signals, environment: dict[str, str], producer: Producer
) -> None:
    async with supervised(environment=environment) as supervisor:
        first, other = pids(supervisor)
        os.kill(first, how)
        await supervisor.says("worker.started", times=3)

        [event] = supervisor.events("worker.restarted")
        assert event["ended_pid"] == first
        os.kill(other, signal.SIGSTOP)  # so that the new one has to do it
        await (await producer.send(CreateUser(name="ada"))).result(40)
        os.kill(other, signal.SIGCONT)
        assert await supervisor.stop() == 0


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
async def test_ctrl_c_and_a_closed_terminal_end_it_in_order_too(
    number: signal.Signals, environment: dict[str, str]
) -> None:
    async with supervised(environment=environment) as supervisor:
        supervisor.send(number)
        assert await supervisor.end() == 0
        assert len(supervisor.events("worker.stopped")) == 2
        assert "Traceback" not in supervisor.output


async def test_a_signal_while_the_processes_start_ends_it_as_well(environment: dict[str, str]) -> None:
    with Process("run", "--processes", "2", environment=environment) as supervisor:
        await supervisor.says("worker.started")
        supervisor.send(signal.SIGTERM)
        assert await supervisor.end() == 0


async def test_several_processes_that_cannot_work_say_why_once(
    empty_database_url: str, queue: QueueSettings
) -> None:
    environment = environment_of(empty_database_url, queue.redis_url, queue.name)
    run = await command_line("run", "--processes", "2", environment=environment)

    assert run.returncode == 1
    assert run.stderr.count("python -m worker migrate") == 1


async def _are_at_work(producer: Producer, wanted: int) -> bool:
    return len(await workers(producer.redis, producer.keys)) == wanted
