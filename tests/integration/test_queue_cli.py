"""`python -m worker queue`: paused, drained and resumed by an operator, over workers that come and go."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from producers import Producer, QueueFull
from producers.commands import CreateUser
from producers.settings import QueueSettings
from tests.console import Console
from tests.processes import Process, command_line
from worker import halt
from worker.demo.servers import RedisServer

PRODUCERS = (sys.executable, "-m", "producers")


@pytest.fixture
async def producer(redis_url: str, queue_name: str) -> AsyncIterator[Producer]:
    async with Producer(settings=QueueSettings(redis_url=redis_url, name=queue_name)) as producer:
        yield producer


async def test_a_pause_is_seen_holds_over_restarts_of_workers_and_ends(
    producer: Producer, environment: dict[str, str]
) -> None:
    paused = await command_line("queue", "pause", environment=environment)
    assert (paused.returncode, paused.stdout) == (
        0,
        "paused: 0 still run and may finish; go on with `python -m worker queue resume`\n",
    )
    receipt = await producer.send(CreateUser(username="ada"))
    for _ in range(2):
        with Process("run", environment=environment) as worker:
            await worker.says("queue.paused")
            assert await worker.stop() == 0
            assert (len(worker.events("queue.paused")), worker.events("command.ended")) == (1, [])

    check = await command_line("check", environment=environment)
    assert check.returncode == 0
    assert "workers claim nothing: paused since" in check.stdout
    assert "run `python -m worker queue resume` to go on" in check.stdout
    status = await command_line("status", environment=environment)
    assert "PAUSED: workers claim nothing since" in status.stdout
    assert json.loads((await command_line("status", "--json", environment=environment)).stdout)["paused_at"]

    with Process("run", environment=environment) as worker:
        await worker.says("queue.paused")
        resumed = await command_line("queue", "resume", environment=environment)
        assert (resumed.returncode, resumed.stdout) == (0, "resumed\n")
        assert (await receipt.result(20)).username == "ada"
        assert await worker.stop() == 0
    again = await command_line("queue", "resume", environment=environment)
    assert (again.returncode, again.stdout) == (0, "it was neither paused nor draining\n")


async def test_a_pause_survives_a_restart_of_redis(own_redis: RedisServer, own_redis_url: str) -> None:
    async with Producer(settings=QueueSettings(redis_url=own_redis_url, name="restarted")) as producer:
        await halt.pause(producer.redis, producer.keys)
        own_redis.stop()
        own_redis.start()
        assert (await halt.halted(producer.redis, producer.keys)).paused_at is not None


async def test_a_drain_waits_for_what_is_there_and_says_what_is_left(
    producer: Producer, environment: dict[str, str]
) -> None:
    await producer.send_many([CreateUser(username=f"user-{number}") for number in range(20)])
    await producer.send(CreateUser(username="late"), delay=3600)
    with Process("queue", "drain", environment=environment) as draining:
        await draining.says("20 due, 0 running; no worker is at work")
        with pytest.raises(QueueFull) as refused:
            await producer.send(CreateUser(username="eve"))
        assert refused.value.code == "queue_draining"
        with Process("run", environment=environment) as worker:
            assert await draining.end() == 0
            assert await worker.stop() == 0
        told = draining.output.splitlines()
    resume = "`python -m worker queue resume`"
    assert f"drained: nothing is due or running; producers are refused until {resume}" in told
    assert "delayed  1 are due later, or tried again" in told
    assert "parked   0 dead hold their lanes, 0 wait in lanes" in told
    assert f"outbox   0 to be published after {resume}" in told
    assert "DRAINING: producers are refused" in (await command_line("status", environment=environment)).stdout

    assert (await command_line("queue", "resume", environment=environment)).stdout == "resumed\n"
    assert (await producer.send(CreateUser(username="eve"))).status == "accepted"


async def test_a_drain_whose_time_is_over_says_so_and_goes_on_refusing(
    producer: Producer, environment: dict[str, str]
) -> None:
    await producer.send(CreateUser(username="ada"))
    over = await command_line("queue", "drain", "--timeout", "0", environment=environment)
    assert over.returncode == 1
    assert "not drained: 1 due, 0 running; producers are refused all the same" in over.stdout
    with pytest.raises(QueueFull):
        await producer.send(CreateUser(username="eve"))


async def test_a_drain_that_somebody_ends_is_told(producer: Producer, environment: dict[str, str]) -> None:
    await producer.send(CreateUser(username="ada"))
    with Process("queue", "drain", environment=environment) as draining:
        await draining.says("1 due, 0 running")
        await halt.resume(producer.redis, producer.keys)
        assert await draining.end() == 1
        assert "somebody has resumed the queue meanwhile" in draining.output


async def test_a_refused_sender_of_the_command_line_is_told_what_to_do(
    producer: Producer, environment: dict[str, str]
) -> None:
    await halt.drain(producer.redis, producer.keys)
    sent = await command_line(
        *("send", "user.create", "--username", "ada"),
        environment=environment,
        program=PRODUCERS,
    )
    assert sent.returncode == 6
    assert "queue_draining: the queue is being drained" in sent.stderr


async def test_redis_away_is_told_by_each(environment: dict[str, str]) -> None:
    away = environment | {"REDIS_URL": "redis://127.0.0.1:1/0", "QUEUE_REDIS_RETRIES": "0"}
    for verb in ("pause", "drain", "resume"):
        ended = await command_line("queue", verb, environment=away)
        assert ended.returncode == 1
        assert ended.stderr.startswith("crud-worker: Redis: ConnectionError; see `python -m worker check`")


async def test_status_is_watched_until_ctrl_c(producer: Producer, environment: dict[str, str]) -> None:
    with Process("status", "--watch", "0.1", "--json", environment=environment) as watching:
        await watching.says('"due": 0', times=2)
        await producer.send(CreateUser(username="ada"))
        await watching.says('"due": 1')
        watching.send(signal.SIGINT)
        assert await watching.end() == 0
        assert "Traceback" not in watching.output
    with Process("status", "--watch", "0.1", environment=environment) as watching:
        await watching.says("no worker is at work", times=2)
        watching.send(signal.SIGINT)
        assert await watching.end() == 0


async def test_a_watch_outlives_a_redis_that_is_away(
    environment: dict[str, str], own_redis: RedisServer, own_redis_url: str
) -> None:
    short = {"REDIS_URL": own_redis_url, "QUEUE_REDIS_RETRIES": "0"}
    with Process("status", "--watch", "0.1", environment=environment | short) as watching:
        await watching.says("no worker is at work")
        own_redis.stop()
        await watching.says("no answer (ConnectionError); see `python -m worker check`")
        own_redis.start()
        seen = watching.output.count("no worker is at work")
        await watching.says("no worker is at work", times=seen + 1)


@pytest.mark.parametrize(
    ("program", "typed", "expected"),
    [
        ("crud-worker", "queue ", {"pause", "resume", "drain"}),
        ("crud-worker", "dead gr", {"groups"}),
        ("crud-producer", "lo", {"load"}),
    ],
)
async def test_bash_completes_a_command(
    program: str, typed: str, expected: set[str], console: Console, tmp_path: Path
) -> None:
    function = f"_{program.replace('-', '_')}_completion"
    script = tmp_path / "complete.sh"
    script.write_text(
        f'eval "$({program} completion bash)"\n'
        f'words="{program} {typed}"\n'
        f'IFS=" " read -ra COMP_WORDS <<< "$words"; [[ $words == *" " ]] && COMP_WORDS+=("")\n'
        f"COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n"
        f"{function} {program}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    assert set((await console.run(f"bash {script}")).split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
async def test_other_shells_have_a_script_too(shell: str, environment: dict[str, str]) -> None:
    told = await command_line("completion", shell, environment=environment)
    assert told.returncode == 0
    assert "_CRUD_WORKER_COMPLETE" in told.stdout
    unknown = await command_line("completion", "tcsh", environment=environment)
    assert (unknown.returncode, "bash" in unknown.stderr) == (2, True)
