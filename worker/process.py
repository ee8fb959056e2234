"""One worker process: arq's Worker on our connections, started with what it needs and stopped in order."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import partial
from signal import Signals
from typing import TYPE_CHECKING, Any

from arq.constants import in_progress_key_prefix
from arq.worker import Worker
from redis.exceptions import RedisError

from .health import NotReady, ensure_ready
from .logs import log
from .presence import FAREWELL
from .transport import redis_pool, start, stop, worker_settings

if TYPE_CHECKING:
    from .app import App

_AWAY_PAUSE = 2.0
_WINDOW = 100


class _Process(Worker):
    """arq's Worker, but it looks before it starts, claims nothing after a signal, and ends in order."""

    def __init__(self, app: App, *, burst: bool) -> None:
        settings = {
            name: value for name, value in vars(worker_settings(app)).items() if not name.startswith("__")
        }
        ours = {"redis_pool": redis_pool(app), "on_startup": partial(start, app), "burst": burst, "ctx": {}}
        super().__init__(**{**settings, **ours})
        self.on_stop = self._end
        self.app = app
        self.stopping = self._ended = False
        self._claim: asyncio.Future[None] | None = None
        self._foreign: set[bytes] = set()

    @property
    def started(self) -> bool:
        """Whether it came as far as looking for work."""
        return "presence" in self.ctx

    async def main(self) -> None:
        """Make sure of everything that the work needs, then work."""
        await ensure_ready(self.app, self.pool)
        await super().main()

    def _end(self, _signum: Signals) -> None:
        self._ended = True

    async def _poll_iteration(self) -> None:
        """Look for work, unless `main` was cancelled: with Python 3.11 redis-py can lose a cancellation."""
        if self._ended:
            raise asyncio.CancelledError
        await super()._poll_iteration()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim one job after the other: none after a signal, none by halves, none that runs here already.

        A claim by halves freezes its job. A job is found again while it runs where this process was suspended
        for longer than its claim lives; arq would run it beside itself, then fail and remove it.
        """
        for first in range(0, len(job_ids), _WINDOW):
            for job_id in await self._unclaimed(job_ids[first : first + _WINDOW]):
                if self.stopping or self.job_counter >= self.max_jobs:
                    return
                self._claim = asyncio.ensure_future(super().start_jobs([job_id]))
                await asyncio.shield(self._claim)

    async def _unclaimed(self, job_ids: list[bytes]) -> list[bytes]:
        """Leave out what runs, here or elsewhere, in one round trip: arq's own look takes four for each."""
        running = {job_id.encode() for job_id, task in self.tasks.items() if not task.done()}
        others = [job_id for job_id in job_ids if job_id not in running and self._is_text(job_id)]
        async with self.pool.pipeline(transaction=False) as pipe:
            for job_id in others:
                pipe.exists(in_progress_key_prefix + job_id.decode())
            claimed = await pipe.execute()
        return [job_id for job_id, taken in zip(others, claimed, strict=True) if not taken]

    def _is_text(self, job_id: bytes) -> bool:
        """Whether arq can name the job; it would end the worker at one that it cannot."""
        try:
            job_id.decode()
        except UnicodeDecodeError:
            if job_id not in self._foreign:
                self._foreign.add(job_id)
                log.error("queue.foreign_id", job_id=repr(job_id), queue=self.queue_name)
            return False
        return True

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """First signal: finish what runs. Second: hand it back at once."""
        if self.stopping:
            self.handle_sig(signum)
            return
        self.stopping = True
        if self.started:
            self.ctx["presence"].stopping = True
        log.info("worker.stopping", signal=signum.name, running=len(self.tasks))
        super().handle_sig_wait_for_completion(signum)

    async def close(self) -> None:
        """Let go of everything, whatever became of jobs and Redis; arq's own close gives up half way."""
        if self._claim is not None:
            await asyncio.gather(self._claim, return_exceptions=True)
        for failed in await asyncio.gather(*self.tasks.values(), return_exceptions=True):
            if isinstance(failed, Exception):
                log.warning("command.unsettled", error=type(failed).__name__)  # it runs again
        with suppress(RedisError, OSError):
            async with asyncio.timeout(FAREWELL):
                await self.pool.delete(self.health_check_key)
        await stop(self.app, self.ctx)
        await self.pool.aclose(close_connection_pool=True)


def run(app: App, *, burst: bool = False) -> None:
    """Run one worker until it is told to stop, or, with `burst`, until the queue is empty.

    Raises NotReady where it cannot start. Redis away once it has started: it starts anew until Redis is back.
    """
    started = False
    while True:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            asyncio.set_event_loop(runner.get_loop())
            worker = _Process(app, burst=burst)
            try:
                worker.run()
                if burst or worker.stopping:
                    return
                problem = "it ended by itself"
            except (NotReady, RedisError, OSError) as error:
                if not (started or worker.started):
                    raise
                problem = str(error) if isinstance(error, NotReady) else type(error).__name__
            started = started or worker.started
            if not worker.stopping:
                log.warning("worker.starts_anew", problem=problem, again_in=_AWAY_PAUSE)
                runner.run(asyncio.sleep(_AWAY_PAUSE))  # a signal is heard meanwhile
            if worker.stopping:
                return


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not on Windows

    return uvloop.new_event_loop
