"""One worker process: arq's Worker on our connections, started with what it needs and stopped in order."""

from __future__ import annotations

import asyncio
import sys
from signal import Signals
from typing import TYPE_CHECKING, Any

from arq.worker import Worker
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .logs import log
from .transport import redis_pool, worker_settings

if TYPE_CHECKING:
    from .app import App

_AWAY_PAUSE = 2.0


class _Process(Worker):
    """arq's Worker, which tells the jobs it has in hand that it is about to stop."""

    stopping = False

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """First signal: finish what runs. Second: hand it back at once."""
        if self.stopping:
            self.handle_sig(signum)
            return
        self.stopping = True
        if "presence" in self.ctx:
            self.ctx["presence"].stopping = True
        log.info("worker.stopping", signal=signum.name, running=len(self.tasks))
        super().handle_sig_wait_for_completion(signum)


def run(app: App, *, burst: bool = False) -> None:
    """Run one worker until it is told to stop, or, with `burst`, until the queue is empty.

    Raises NotReady where it cannot start. Redis away while it runs: it starts anew until Redis is back.
    """
    settings = {name: value for name, value in vars(worker_settings(app)).items() if not name.startswith("__")}
    while True:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            asyncio.set_event_loop(runner.get_loop())
            worker = _Process(**{**settings, "redis_pool": redis_pool(app), "burst": burst, "ctx": {}})
            try:
                worker.run()
            except (RedisConnectionError, RedisTimeoutError, ConnectionError) as error:
                if worker.stopping:
                    return
                log.warning("worker.redis_away", error=type(error).__name__, again_in=_AWAY_PAUSE)
                runner.run(asyncio.sleep(_AWAY_PAUSE))
            else:
                return


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not on Windows

    return uvloop.new_event_loop
