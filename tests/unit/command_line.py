"""Runs the producer's command line in this process, on a Redis that is not there."""

import io
import json
import sys
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from fakeredis import FakeAsyncRedis, FakeServer

from producers import Producer, QueueSettings
from producers.__main__ import main
from producers.cli.caller import Caller
from producers.wire import Answer, Envelope


@dataclass
class CommandLine:
    """The command line, what it answers for the worker, and what it sent."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    server: FakeServer = field(default_factory=FakeServer)
    answers: list[Answer] = field(default_factory=list)
    max: int | None = None
    out: str = ""
    err: str = ""

    def __post_init__(self) -> None:
        async def answer(producer: Producer, command_id: UUID, timeout: float | None, **_: Any) -> Answer:
            if self.answers:
                return self.answers.pop(0)
            return await given(producer, command_id, timeout)

        given = Producer.answer
        self.patch.setattr(Producer, "answer", answer)
        self.patch.setattr(Caller, "producer", lambda _caller, _ledger=None: self._producer())

    def _producer(self) -> Producer:
        return Producer(
            redis=FakeAsyncRedis(server=self.server), settings=QueueSettings(name="test", max=self.max)
        )

    def run(self, *arguments: str, stdin: str | bytes = "") -> int:
        """Run it; its output is then in `out` and `err`."""
        given = io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin)
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(given))
        code = main(arguments)
        self.out, self.err = self.capture.readouterr()
        return code

    @property
    def result(self) -> Any:
        """What it printed on stdout."""
        return json.loads(self.out)

    async def sent(self) -> list[Envelope]:
        """What waits in the queue."""
        redis = FakeAsyncRedis(server=self.server)
        jobs = [await redis.get(f"arq:job:{job.decode()}") for job in await redis.zrange("test", 0, -1)]
        return [Envelope.decode(json.loads(job)["a"][0]) for job in jobs if job is not None]
