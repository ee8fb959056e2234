"""What is measured of a contender in one round."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from . import limits
from .contender import FEW, FEW_TWICE, About
from .job import Job, counted
from .processes import Workers, cpu, python, told, wait_until
from .servers import Servers

Sample = dict[str, float]
_WARM, _PAUSE, _FEW = 0.1, 0.2, 1  # a look takes a millisecond of the database's


@dataclass(frozen=True)
class Amounts:
    """How many jobs, and seconds that one drain is watched for at most."""

    inserts: int = 7000
    noops: float = 1
    """The share of its no-ops that each contender gets."""
    singles: int = 3000
    bulk: int = 10_000
    sends: int = 80
    updates: int = 10_000
    watched: float = 3.0
    turns: int = 3
    """How often a worker is watched, and not, in one round."""
    waiting: tuple[int, ...] = (1000, 100_000, 1_000_000)


def watch(workers: Workers, servers: Servers, done: Callable[[], int], count: int, longest: float) -> Sample:
    """Time what follows the first tenth, until the last look before the end, or the time is up."""
    wait_until("a tenth done", lambda: done() >= count * _WARM, workers, pause=_PAUSE)
    processes, serving = workers.processes(), servers.processes()
    looks = [(done(), time.perf_counter())]
    used, served = cpu(processes), cpu(serving)
    until, memory_at = looks[0][1] + longest, 0.0
    while looks[-1][0] < count and looks[-1][1] < until:
        time.sleep(_PAUSE)
        looks.append((done(), time.perf_counter()))
        if looks[-1][1] >= memory_at:
            workers.check()
            workers.memory()
            memory_at = looks[-1][1] + 0.2
    used, served = cpu(processes) - used, cpu(serving) - served
    (first, begun), (end, _) = looks[0], looks[-1]
    last, ended = next((look for look in reversed(looks[1:]) if look[0] < count), looks[-1])
    jobs = max(1, end - first)
    return {
        "rate": (last - first) / (ended - begun),
        "worker_cpu_ms": used * 1000 / jobs,
        "servers_cpu_ms": served * 1000 / jobs,
        "mib": max(workers.largest, workers.memory()) / 2**20,
        "jobs": jobs,
    }


class Round:
    """The measurements of one contender, in order."""

    def __init__(self, about: About, servers: Servers, amounts: Amounts) -> None:
        self.about, self.servers, self.amounts = about, servers, amounts
        self._python = python(apart=about.apart)

    def run(self) -> dict[str, Any]:
        """Measure all."""
        amounts, figures = self.amounts, {}
        self._clear()
        figures["enqueue one by one"] = self._drive("one_by_one", "insert", amounts.singles)
        self._clear()
        self._drive("fill", "insert", amounts.inserts)
        self.servers.analyze(self.about.tables)
        figures["insert, one process"] = self._inserts(1)
        self._clear()
        if self.about.bulk:
            figures["enqueue in bulk"] = self._drive("bulk", "insert", amounts.bulk)
            self._clear()
        self._drive("fill", "insert", amounts.inserts)
        self.servers.analyze(self.about.tables)
        figures["insert, two processes"] = self._inserts(2)
        self._clear()
        noops = int(self.about.noops * amounts.noops)
        if self.about.slots_variable:
            figures |= self._few()
        self._drive("fill", "noop", noops)
        self.servers.analyze(self.about.tables)
        figures["no-op, one process"] = self._noops(noops)
        self._clear()
        figures |= self._idle()
        self._clear()
        return figures

    def inserts(self, **environment: str) -> Sample:
        """Let one process insert, and nothing else."""
        self._clear()
        self._drive("fill", "insert", self.amounts.inserts)
        self.servers.analyze(self.about.tables)
        return self._inserts(1, 0, **environment)

    def _few(self) -> dict[str, Sample]:
        """Let one and two processes insert that have so few slots that cores stay free."""
        figures = {}
        for title, number in ((FEW, 1), (FEW_TWICE, 2)):
            self._drive("fill", "insert", self.amounts.inserts)
            figures[title] = self._inserts(number, _FEW)
            self._clear()
        return figures

    def _inserts(self, number: int, slots: int = 0, **environment: str) -> Sample:
        """Start workers, wait until all slots of all hold a job, then let them insert."""
        if slots:
            environment[self.about.slots_variable] = str(slots)
        where = self.servers.anywhere() if number > 1 or slots else nullcontext()
        with where, self._workers("insert", number, **environment) as workers:
            with self.servers.hold():
                wanted = (slots or self.about.slots) * number
                wait_until("slots full", lambda: self.servers.waiting() >= wanted, workers)
            return watch(
                workers, self.servers, self.servers.users, self.amounts.inserts, self.amounts.watched
            )

    def _noops(self, count: int) -> Sample:
        with self._workers("noop", 1) as workers:
            folder = self.servers.folder
            return watch(workers, self.servers, lambda: counted(folder), count, self.amounts.watched)

    def _idle(self) -> dict[str, Any]:
        """Send to a worker that has nothing else to do; then see what it has in memory."""
        figures: dict[str, Any] = {}
        with self._workers("insert", 1, BENCH_ANSWERS="1") as workers:
            if self.about.answers:
                figures["send to result"] = self._drive("latency", "insert", self.amounts.sends)
            else:
                self._drive("fill", "insert", self.amounts.sends)
                wait_until("idle", lambda: self.servers.users() >= self.amounts.sends, workers)
            time.sleep(0.3)
            figures["idle memory"] = {"mib": workers.memory() / 2**20}
        return figures

    def _workers(self, job: Job, number: int, **environment: str) -> Workers:
        command = [self._python, *self.about.workers[job]]
        return Workers(command, self.servers, number, **{**self.about.environment, **environment})

    def _drive(self, what: str, job: Job, count: int) -> dict[str, Any]:
        answers = {"BENCH_ANSWERS": "1"} if what == "latency" else {}
        command = [self._python, "-m", "tests.bench.drive", self.about.name, what, job, str(count)]
        return told(command, {**self.servers.environment, **answers})

    def _clear(self) -> None:
        self.servers.clear(self.about.tables)


def hot(servers: Servers, amounts: Amounts) -> dict[str, Any]:
    """Measure updates of one row, queued and in a bare loop."""
    servers.clear(("processed_commands", "dead_letters"))
    environment = {**servers.environment, "WORKER_LOG_LEVEL": "warning"}
    return told([python(apart=False), "-m", "tests.bench.hot", str(amounts.updates)], environment)


def limit(what: str, servers: Servers, amounts: Amounts) -> dict[str, Any]:
    """Measure one limit."""
    servers.clear(("processed_commands", "dead_letters"))
    environment = {**servers.environment, "WORKER_LOG_LEVEL": "warning"}
    if what in limits.TITLES:
        command = [
            python(apart=False),
            "-m",
            "tests.bench.limits",
            what,
            str(int(amounts.inserts * limits.TIMES[what])),
        ]
        return {"insert, one process": told(command, environment)}
    command = [python(apart=False), "-m", "tests.bench.limits", what, str(amounts.sends)]
    return {"send to result": told(command, environment)}
