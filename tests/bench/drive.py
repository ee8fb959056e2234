"""The sender's side of one contender, in its own process: `python -m tests.bench.drive NAME WHAT JOB COUNT`.

It prints one line of JSON. Exit code 3: the contender is not installed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

import uvloop

from .contender import Contender, load
from .job import Job, payloads

NOT_INSTALLED = 3
_PATIENCE = 4.0
_PAUSE = 0.01


async def one_by_one(contender: Contender, job: Job, count: int) -> dict[str, Any]:
    """Send jobs one after the other."""
    ready = contender.ready(payloads(count))
    await contender.send(job, contender.ready(payloads(1, count))[0])  # the connection is open after it
    begun = time.perf_counter()
    for payload in ready:
        await contender.send(job, payload)
    return {"rate": count / (time.perf_counter() - begun)}


async def bulk(contender: Contender, job: Job, count: int) -> dict[str, Any]:
    """Send jobs in bulk."""
    ready = contender.ready(payloads(count))
    await contender.send(job, contender.ready(payloads(1, count))[0])
    begun = time.perf_counter()
    await contender.send_many(job, ready)
    return {"rate": count / (time.perf_counter() - begun)}


async def fill(contender: Contender, job: Job, count: int) -> dict[str, Any]:
    """Fill the queue, by any means; of the jobs, the first are those that one_by_one has not sent."""
    await contender.fill(job, payloads(count, 10_000_000))
    return {}


async def latency(contender: Contender, job: Job, count: int) -> dict[str, Any]:
    """Send one job, wait for its result, pause, and so on; return milliseconds."""
    ready = contender.ready(payloads(count + 5, 20_000_000))
    for payload in ready[:5]:
        await contender.result(await contender.send(job, payload))
    spent: list[float] = []
    until = time.perf_counter() + _PATIENCE
    for payload in ready[5:]:
        if time.perf_counter() > until:
            break
        await asyncio.sleep(_PAUSE)
        begun = time.perf_counter()
        await contender.result(await contender.send(job, payload))
        spent.append((time.perf_counter() - begun) * 1000)
    return {"ms": spent}


_MEASURES = {"one_by_one": one_by_one, "bulk": bulk, "fill": fill, "latency": latency}


async def drive(contender: Contender, what: str, job: Job, count: int) -> dict[str, Any]:
    """Do what is asked for."""
    if what == "prepare":
        await contender.prepare()
        return {}
    await contender.open()
    try:
        return await _MEASURES[what](contender, job, count)
    finally:
        await contender.close()


def main() -> None:
    """Read the command line."""
    name, what, kind, count = [*sys.argv[1:], *("insert", "0")[len(sys.argv) - 3 :]]
    try:
        contender = load(name)
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NOT_INSTALLED)
    if what == "about":
        told: dict[str, Any] = asdict(contender.about(name))
    else:
        job: Job = "noop" if kind == "noop" else "insert"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(drive(contender, what, job, int(count)))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
