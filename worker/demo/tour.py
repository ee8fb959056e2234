"""The demo: servers and a worker of its own, a story and real data sent to them, and an account of it all."""

# ruff: noqa: S101  # what a step promises, it asserts

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Column, Table

from producers import BlockingProducer
from producers.commands import CountLikes, CountPosts, CountUsers

from . import distributions, story
from .mishaps import operate
from .servers import PostgresServer, RedisServer
from .steps import Part
from .worker_process import WorkerProcess

_INTERRUPTED = 130
_FOREIGN = ("QUEUE_", "WORKER_", "PG")  # what this machine sets for queues, workers and databases of its own
_LATE = 10.0
"""Seconds within which the worker has told what it finished: it does so every few."""
_SETTINGS = {
    "WORKER_LOG_FORMAT": "json",
    "WORKER_SHUTDOWN_TIMEOUT": "5",
    "WORKER_UNREADABLE_TIMEOUT": "1",  # an hour by default; here no deploy is on its way that could read it
}


def main() -> int:
    """Run the demo and stop what it started; return its exit code: 0 only if every step held."""
    _on_interrupt(_interrupt)
    console = Console(highlight=False)
    try:
        with ExitStack() as started:
            return Tour(console, started).run()
    except KeyboardInterrupt:
        console.print("\nInterrupted; what was started is stopped.", style="bold")
        return _INTERRUPTED


def _on_interrupt(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the demo from wherever it is; stopping takes seconds, and a second Ctrl-C does not cut it short.

    Python's own handler would do so for Ctrl-C alone; asyncio replaces that one by a cancellation, which a
    connection of redis-py's can swallow, and a shell turns it off for what runs in the background.
    """
    _on_interrupt(signal.SIG_IGN)
    raise KeyboardInterrupt


class Tour:
    """The parts of the demo, one after the other; what they start goes on the stack `started`."""

    def __init__(self, console: Console, started: ExitStack) -> None:
        self.console, self.started = console, started
        self.worker = WorkerProcess()
        self.numbers: dict[str, object] = {}

    def run(self) -> int:
        """Play the parts, up to the first that does not hold."""
        scripts = {
            "Servers and a worker of its own": self.set_up,
            story.TITLE: story.tell_story,
            distributions.TITLE: distributions.tell_distributions,
            "What the worker says of it": self.account,
        }
        parts = [Part(title, self.console) for title in scripts]
        for part, script in zip(parts, scripts.values(), strict=True):
            if part.play(script):
                log = self.worker.log.splitlines()[-10:]
                self.console.print("\nThe end of the worker's log:", *log, sep="\n", markup=False)
                return 1
        self.numbers["steps that held"] = sum(part.held for part in parts)
        self.numbers["seconds"] = round(sum(part.seconds for part in parts), 1)
        table = Table("In the end", Column(justify="right"), title_justify="left")
        for name, number in self.numbers.items():
            table.add_row(name, str(number))
        self.console.print("", table)
        return 0

    def set_up(self, part: Part) -> None:
        """Start the servers, migrate, start the worker."""
        for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
            del os.environ[name]
        with part.step("A PostgreSQL of its own", ran="initdb, postgres") as tell:
            postgres = self.started.enter_context(PostgresServer())
            tell(f"process {postgres.pid}, on a socket in {postgres.folder}")
        with part.step("A Redis of its own", ran="valkey-server or redis-server") as tell:
            redis = self.started.enter_context(RedisServer())
            tell(f"process {redis.pid}, on {redis.url}")
        os.environ.update(
            _SETTINGS, DATABASE_URL=postgres.url, REDIS_URL=redis.url, PYTHONPATH=_python_path()
        )
        with part.step("Migrate", ran="python -m worker migrate") as tell:
            for line in operate("migrate").splitlines():
                tell(line)
        with part.step("A worker as a process of its own", ran="python -m worker run") as tell:
            self.started.enter_context(self.worker)
            [started] = self.worker.logged("worker.started")
            tell(f"process {self.worker.pid}, {started['slots']} slots, {started['kinds']} kinds of command")

    def account(self, part: Part) -> None:
        """Hear the worker's side: its log, its endings, its dead letters, and what is in the tables."""
        with part.step("Deadlocks, by its log") as tell:
            retried = [line for line in self.worker.logged("command.retried") if line["sqlstate"] == "40P01"]
            assert retried
            tell(f"{len(retried)} commands were a deadlock's victim (40P01), and ran again at once")
        with part.step("Endings and dead letters", ran="python -m worker status --json") as tell:
            ended = Counter(line["ending"] for line in self.worker.logged("command.ended"))
            del ended["answered"]  # reads
            until = time.monotonic() + _LATE
            while (status := json.loads(operate("status", "--json")))["endings_last_hour"] != ended:
                assert time.monotonic() < until
            endings, letters = status["endings_last_hour"], status["dead_letters"]
            assert endings.keys() == {"applied", "rejected", "dead"}
            assert letters == {"rejected": endings["rejected"], "resolved": 1}
            tell(f"{endings['applied']} applied; {endings['rejected']} rejected, each with its dead letter")
            tell("one more letter is resolved: of the command that was mended and replayed")
        with (
            part.step("What is in the tables", sent="user.count, post.count, like.count") as tell,
            BlockingProducer() as producer,
        ):
            receipts = producer.send_many([CountUsers(), CountPosts(), CountLikes()])
            users, posts, likes = [receipt.result(30) for receipt in receipts]
            tell(f"{users} users, {posts} posts, {likes} likes, all of part two")
        self.numbers = {
            "users": users,
            "posts": posts,
            "likes": likes,
            "commands applied": endings["applied"],
            "commands rejected": endings["rejected"],
            "commands died, mended and replayed": letters["resolved"],
            "deadlocks retried": len(retried),
        }


def _python_path() -> str:
    """Let the processes that are started find this very `worker`, wherever they are started."""
    here = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
