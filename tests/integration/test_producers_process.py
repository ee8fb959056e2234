import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from producers.wire import Answer, Ending, Keys, command_uuid

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def environment(redis_url: str, queue_name: str) -> dict[str, str]:
    """Where the command line finds its queue."""
    root = str(Path(__file__).parents[2])
    return os.environ | {"REDIS_URL": redis_url, "QUEUE_NAME": queue_name, "PYTHONPATH": root}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start the command line as a process of its own; what a failed test left is killed."""
    started = []

    def start(*arguments: str, **settings: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "producers", *arguments],
            env=environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_result_reaches_the_shell(start: Start, redis_url: str, queue_name: str) -> None:
    keys, command_id = Keys(queue_name), command_uuid("one")
    process = start("send", "user.count", "--command-id", "one", "--wait", "--timeout", "30")
    with redis.Redis.from_url(redis_url) as client:
        wait_until(lambda: client.zcard(queue_name) == 1)
        client.set(keys.result(command_id), Answer(Ending.ANSWERED, 7).encode())
    out, err = process.communicate(timeout=30)
    assert (json.loads(out), err, process.returncode) == (7, "", 0)


def test_ctrl_c_ends_a_send_without_a_traceback(start: Start, redis_url: str, queue_name: str) -> None:
    process = start("send", "user.count", "--wait")
    with redis.Redis.from_url(redis_url) as client:
        wait_until(lambda: client.zcard(queue_name) == 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 130)
    assert "Traceback" not in err


def test_ctrl_c_ends_a_load_with_what_was_sent(
    start: Start, redis_url: str, queue_name: str, tmp_path: Path
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("username\nada\nbob\n")
    process = start("load", str(users), "--as", "user.create", "--wait")
    with redis.Redis.from_url(redis_url) as client:
        wait_until(lambda: client.zcard(queue_name) == 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (out, process.returncode) == ("", 130)
        # It may come while Redis is answering.
        assert re.search(r"stopped; (2 rows were sent before|the first rows may have been sent)\. Load", err)
        assert "Traceback" not in err
        again = start("load", str(users), "--as", "user.create")
        assert json.loads(again.communicate(timeout=30)[0])["accepted"] == 2
        assert client.zcard(queue_name) == 2


def test_a_redis_that_is_away_is_told_in_one_line(start: Start) -> None:
    process = start("send", "user.count", REDIS_URL="redis://:hunter2@127.0.0.1:1/0", QUEUE_REDIS_RETRIES="0")
    out, err = process.communicate(timeout=30)
    assert (out, process.returncode) == ("", 6)
    assert err.startswith("queue_unavailable: ")
    assert err.count("\n") == 1
    assert "hunter2" not in err
