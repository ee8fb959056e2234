"""Whether the engine slows down with what waits, and whether it grows over a million jobs."""

from __future__ import annotations

import sys
import time
from typing import Any

from arq.constants import default_queue_name, job_key_prefix
from arq.jobs import serialize_job

from .contender import About
from .job import counted
from .measures import Amounts, watch
from .processes import Workers
from .servers import Servers

_FILL = """
for i = ARGV[1], ARGV[2] do
  local id = string.format('%09d', i)
  redis.call('SET', KEYS[2] .. id, ARGV[3], 'EX', 86400)
  redis.call('ZADD', KEYS[1], i, id)
end
"""
_PART = 20_000
_LONGEST = 300.0


def name(waiting: int) -> str:
    """Name the figure."""
    return f"no-op, {waiting:,} behind them"


def run(about: About, servers: Servers, amounts: Amounts, *, to_the_end: bool) -> dict[str, Any]:
    """Drain the same number of jobs, with so many waiting behind them; the last time, all."""
    count, figures = int(about.noops * amounts.noops), dict[str, Any]()
    for waiting in amounts.waiting:
        servers.clear()
        _fill(servers, count + waiting)
        with Workers([sys.executable, *about.workers["noop"]], servers, 1) as workers:
            figures[name(waiting)] = watch(
                workers, servers, lambda: counted(servers.folder), count, amounts.watched * 2
            )
            if to_the_end and waiting == amounts.waiting[-1]:
                figures["memory over the run"] = _grown(workers, servers, count + waiting)
    servers.clear()
    return figures


def _grown(workers: Workers, servers: Servers, count: int) -> dict[str, float]:
    """Let the worker go on to the end; say what it had in memory by then, and now."""
    before, done = workers.memory(), counted(servers.folder)
    until, last = time.monotonic() + _LONGEST, done
    while last < count and time.monotonic() < until:
        workers.check()
        time.sleep(0.1)
        last = counted(servers.folder)
    return {
        "mib": workers.memory() / 2**20,
        "grown_mib": (workers.memory() - before) / 2**20,
        "jobs": last - done,
    }


def _fill(servers: Servers, count: int) -> None:
    body = serialize_job("noop", (), {}, None, 1)
    script = servers.redis.register_script(_FILL)
    for first in range(1, count + 1, _PART):
        last = min(count, first + _PART - 1)
        script(keys=[default_queue_name, job_key_prefix], args=[first, last, body])
