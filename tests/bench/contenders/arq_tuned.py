"""arq as someone who knows it runs it: uvloop, a look each 10 ms, 20 slots, a quiet log."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import uvloop
from arq.worker import run_worker

from ..contender import Contender
from ..job import SLOTS, Job
from .arq import Arq, WorkerSettings


class TunedArq(Arq):
    """arq, tuned."""

    title = "arq, tuned"
    setup = "uvloop, poll_delay 0.01, queue_read_limit 1000, max_jobs 20, log at warning"
    slots = SLOTS
    noops = 12_000

    def worker(self, job: Job) -> list[str]:
        """Run what is below."""
        return Contender.worker(self, job)

    def run(self) -> None:
        """Run a worker."""
        asyncio.set_event_loop(uvloop.new_event_loop())
        settings = cast("Any", WorkerSettings)
        run_worker(settings, poll_delay=0.01, queue_read_limit=1000, max_jobs=SLOTS)


CONTENDER = TunedArq()
