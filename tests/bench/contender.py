"""What the bench asks of a contender: how to send, how to start its worker, how to wait for a result."""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, ClassVar

from .job import SLOTS, Job

Payload = dict[str, Any]
FEW, FEW_TWICE = "insert, one slot, one process", "insert, one slot, two processes"
_SENDERS = 20


@dataclass(frozen=True)
class About:
    """What the bench knows of a contender without loading it."""

    name: str
    title: str
    setup: str
    versions: dict[str, str]
    bulk: bool
    answers: bool
    slots: int
    noops: int
    tables: list[str]
    environment: dict[str, str]
    workers: dict[str, list[str]]
    slots_variable: str
    apart: bool = field(default=False)


class Contender(ABC):
    """One way to run jobs. Its worker is started as a process of its own; the rest runs in the sender's."""

    title: ClassVar[str]
    setup: ClassVar[str]
    """How it is set up, in a sentence."""
    packages: ClassVar[tuple[str, ...]]
    bulk: ClassVar[bool] = False
    answers: ClassVar[bool] = True
    slots: ClassVar[int] = SLOTS
    """How many jobs one worker runs side by side."""
    slots_variable: ClassVar[str] = ""
    """The variable that says so, if there is one: then it is measured with few as well."""
    noops: ClassVar[int] = 8000
    """How many no-ops it gets: enough for some seconds."""
    tables: ClassVar[tuple[str, ...]] = ()
    """Tables of its own, to be emptied between two measurements."""
    environment: ClassVar[dict[str, str]] = {}

    def worker(self, job: Job) -> list[str]:  # noqa: ARG002
        """Return the arguments of Python that start one worker process: by default one that calls `run`."""
        return ["-m", "tests.bench.worker", type(self).__module__.rpartition(".")[2]]

    def run(self) -> None:
        """Run a worker, in a process of its own."""
        raise NotImplementedError

    async def prepare(self) -> None:  # noqa: B027  # most need nothing
        """Make what it needs in the database, once."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, to send."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    async def send(self, job: Job, payload: Payload) -> Any:
        """Send one job; return what its result is waited for with."""

    async def send_many(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Send jobs in bulk."""
        raise NotImplementedError

    async def result(self, sent: Any) -> None:
        """Wait for the result of a job; raise where it failed."""
        raise NotImplementedError

    def ready(self, payloads: Sequence[Payload]) -> Sequence[Any]:
        """Make of the payloads what a caller would have at hand; this is not timed."""
        return payloads

    async def fill(self, job: Job, payloads: Sequence[Payload]) -> None:
        """Send jobs as quickly as can be: this is not measured."""
        if self.bulk:
            await self.send_many(job, payloads)
            return
        remaining = iter(payloads)
        await asyncio.gather(*(self._send_all(job, remaining) for _ in range(_SENDERS)))

    async def _send_all(self, job: Job, remaining: Iterator[Payload]) -> None:
        for payload in remaining:
            await self.send(job, payload)

    def about(self, name: str) -> About:
        """Say what the bench has to know."""
        return About(
            name,
            self.title,
            self.setup,
            {package: version(package) for package in self.packages},
            self.bulk,
            self.answers,
            self.slots,
            self.noops,
            list(self.tables),
            self.environment,
            {job: self.worker(job) for job in ("insert", "noop")},
            self.slots_variable,
        )


def load(name: str) -> Contender:
    """Import a contender; raise ImportError where it is not installed."""
    module = importlib.import_module(f".contenders.{name}", __package__)
    contender: Contender = module.CONTENDER
    return contender
