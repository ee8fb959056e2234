"""What it costs a worker to be watched: by a Prometheus that asks each second, and on a dashboard.

The dashboard runs with the servers, and one person looks at its overview, which is drawn every two seconds.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from statistics import median
from urllib.request import Request, urlopen

from .contender import About
from .measures import Amounts, Round, Sample
from .processes import Failed
from .servers import Servers

FIGURE, ALONE = "insert, watched", "insert, not watched"
_TOKEN, _EVERY, _STARTS, _LOOK = "a token of the bench", 1.0, 20.0, 0.1


def run(about: About, servers: Servers, amounts: Amounts) -> dict[str, Sample]:
    """Let a worker insert, watched and not, in turns; of each figure, the median of its turns."""
    found: dict[str, list[Sample]] = {ALONE: [], FIGURE: []}
    for turn in range(amounts.turns):
        for figure in sorted(found, reverse=bool(turn % 2)):
            with _watchers(servers) if figure == FIGURE else _nobody() as environment:
                found[figure].append(Round(about, servers, amounts).inserts(**environment))
    return {
        figure: {what: median(sample[what] for sample in samples) for what in samples[0]}
        for figure, samples in found.items()
    }


@contextmanager
def _nobody() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def _watchers(servers: Servers) -> Iterator[dict[str, str]]:
    """Run a dashboard, and look at it and at what a worker serves; give what the worker is told."""
    metrics, dashboard = _free_port(), _free_port()
    secret = {"WORKER_DASHBOARD_TOKEN": _TOKEN, "WORKER_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "worker", "dashboard", "--port", str(dashboard)]
    with subprocess.Popen(command, env={**servers.environment, **secret}) as process:
        over = threading.Event()
        try:
            servers.run_beside(process.pid)
            overview = Request(  # on this machine
                f"http://127.0.0.1:{dashboard}/events/overview", headers={"Authorization": f"Bearer {_TOKEN}"}
            )
            _until_open(overview)
            for look in (_scraping(f"http://127.0.0.1:{metrics}/metrics", over), _looking(overview, over)):
                threading.Thread(target=look, daemon=True).start()
            yield {"WORKER_HTTP": f"127.0.0.1:{metrics}"}
        finally:
            over.set()
            process.terminate()


def _scraping(url: str, over: threading.Event) -> Callable[[], None]:
    def scrape() -> None:
        while not over.wait(_EVERY):
            with suppress(OSError), urlopen(url, timeout=5) as told:  # noqa: S310  # the worker starts
                told.read()

    return scrape


def _looking(overview: Request, over: threading.Event) -> Callable[[], None]:
    def look() -> None:
        with suppress(OSError), urlopen(overview, timeout=30) as told:  # noqa: S310  # on this machine
            while not over.is_set():
                told.readline()

    return look


def _until_open(overview: Request) -> None:
    until = time.monotonic() + _STARTS
    while time.monotonic() < until:
        with suppress(OSError), urlopen(overview, timeout=5):  # noqa: S310  # on this machine
            return
        time.sleep(_LOOK)
    raise Failed("the dashboard does not answer")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
