"""The engine: arq's Worker, with a main loop of its own.

main       connect, tell the hooks, then work until told to stop
exchange   one round trip: settle what has ended, claim for the slots that are free
start      each claim becomes a task (run.py), and its lease is renewed by a thread (lease.py)
wait       until a job ends, one is due, a hint comes (bell), or it is time to look again
stop       claim no more, let jobs end, hand back the rest, settle all
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from signal import Signals
from typing import Any

from arq import worker as arq
from arq.connections import create_pool, log_redis_info
from arq.constants import abort_job_max_age, abort_jobs_ss
from redis.exceptions import RedisError

from .broker import Broker, Look, Say
from .job import Claim, Settlement, logger
from .lease import Keeper
from .run import Run

_LEASE, _RENEWED_EVERY, _LOOP_PATIENCE = 10.0, 3.0, 30.0
_TURN, _BEAT, _LAST_WORDS = 0.5, 5.0, 5.0
_GATHER, _LONGEST_WAIT, _AWAY_FIRST, _AWAY_LONGEST = 0.005, 1.0, 0.05, 2.0

AWAY = (RedisError, OSError, TimeoutError)  # what a Redis that cannot be reached is told by


class Worker(arq.Worker):
    """A drop-in for `arq.worker.Worker`: its arguments, its keys in Redis, its results and hooks.

    `on_unreadable(claim, problem)` is asked about a job that has no payload, one that cannot be read or
    names no function of this worker; `on_poison(claim)` about one whose process has ended `poison_after`
    times while it ran. Either returns a Settlement, or None for arq's way. `on_settle(say, ended)` may say
    more to Redis in the round trip that settles: what it says comes first. A `broker` of a class of your own
    may claim in another way.

    What is other than in arq:

    | of arq | here |
    |---|---|
    | looks at every `poll_delay`, and starts nothing between | starts a job when it comes or is due |
    | claims one job in four round trips | claims for all free slots in one, by the server's clock |
    | ids in progress hide those behind them | they are put behind, until their lease ends |
    | a claim has no owner and lives for minutes | a lease of 10 s, with a token, renewed |
    | Retry moves a job by a relative score, perhaps twice | an absolute score, and only by the owner |
    | an error of Redis ends the worker | it goes on when Redis is back |
    | a hook that raises ends the worker | it ends its job |
    | what cannot be read or is unknown is finished | `on_unreadable` is asked first |
    | at SIGTERM the batch in hand is still started | nothing is; the rest is handed back, not counted |
    | a second SIGTERM changes nothing | it hands back at once |
    | `arq:retry:` counts tries for a day | `arq:engine:` counts them until the job is settled |
    | an id that is not text ends the worker | it stays in the queue, and is logged |
    | a unique cron job may run again a minute later | not within an hour |
    | a late abort meets the next job of that id | it is forgotten after a minute |
    | the health key goes with any worker that stops | it runs out |
    | a burst ends when the queue is empty | when nothing is due before the year 5138 |
    """

    def __init__(
        self,
        *args: Any,
        on_unreadable: Callable[[Claim, Exception], Awaitable[Settlement | None]] | None = None,
        on_poison: Callable[[Claim], Awaitable[Settlement | None]] | None = None,
        on_settle: Callable[[Say, Sequence[Settlement]], None] | None = None,
        broker: Callable[..., Broker] = Broker,
        poison_after: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.on_unreadable, self.on_poison, self.on_settle = on_unreadable, on_poison, on_settle
        self.poison_after, self._broker_of = poison_after, broker
        self.handing_back, self._at_work = False, False
        self._stopping: Signals | None = None
        self._ended: list[Settlement] = []
        self.job_tasks = self.tasks  # here they are the same
        self._wake, self._hungry = asyncio.Event(), asyncio.Event()
        self._look_at, self._away, self._queued = 0.0, 0.0, 0
        self._telling: set[asyncio.Task[None]] = set()

    # The life of a worker

    async def main(self) -> None:
        """Connect, start what goes on beside the work, and work until told to stop, or, in a burst, done."""
        await self._connect()
        if self.on_startup:
            await self.on_startup(self.ctx)
        beside = [asyncio.create_task(step()) for step in (self._beat, self._listen)]
        self._keeper.start()
        self._turn()
        self._at_work = True
        try:
            await self._work()
        finally:
            await self._end(beside)

    async def _connect(self) -> None:
        if self._pool is None:
            self._pool = await create_pool(
                self.redis_settings,
                job_serializer=self.job_serializer,
                job_deserializer=self.job_deserializer,
                default_queue_name=self.queue_name,
                expires_extra_ms=self.expires_extra_ms,
            )
        logger.info("Starting worker for %d functions: %s", len(self.functions), ", ".join(self.functions))
        await log_redis_info(self.pool, logger.info)
        self.ctx["redis"] = self.pool
        self._broker = self._broker_of(self.pool, self.queue_name, lease=_LEASE, aborts=self.allow_abort_jobs)
        self._keeper = Keeper(self._broker, self._lost_soon, every=_RENEWED_EVERY, patience=_LOOP_PATIENCE)

    async def _work(self) -> None:
        while not self._is_over():
            await self._exchange()
            await self._until_there_is_something_to_do()

    def _is_over(self) -> bool:
        if self._stopping is not None:
            return not self.tasks
        if not self.burst or self.tasks or self._ended:
            return False
        return 0 <= self.max_burst_jobs <= self._jobs_started() or (self._queued == 0 and self._look_at > 0)

    async def _end(self, beside: list[asyncio.Task[None]]) -> None:
        """Hand back what runs, settle it, and let go; cancelled meanwhile, it goes on."""
        told = self._stopping
        self._hand_back()
        self._stopping = told or Signals.SIGTERM
        ending = asyncio.ensure_future(self._settle_the_rest())
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({ending})
        for task in beside:
            while not task.done():
                task.cancel()  # redis-py can lose it on 3.11; again too soon leaks a connection
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({task}, timeout=1)
        self._at_work = False
        self._turning.cancel()
        self._keeper.end()
        await self._broker.close()
        self._stopping, self.handing_back, self._look_at = told, told is not None, 0.0  # it may be run again

    def _turn(self) -> None:
        """Show the thread that renews that the loop turns."""
        self._keeper.turned()
        self._turning = self.loop.call_later(_TURN, self._turn)

    async def _settle_the_rest(self) -> None:
        while self.tasks:
            await asyncio.wait({*self.tasks.values()})
        with contextlib.suppress(TimeoutError):
            until = self.loop.time() + _LAST_WORDS
            async with asyncio.timeout_at(until):
                while self._ended and self.loop.time() < until:
                    await self._exchange()
                if self._telling:
                    await asyncio.wait(self._telling)

    # Steps of the work

    async def _exchange(self) -> None:
        """Settle what has ended and claim for the slots that are free, in one round trip."""
        ended, self.claiming = self._ended, self._wants()
        if not ended and not self.claiming:
            return
        self._ended = []
        also = partial(self._also, ended) if self.on_settle is not None else None
        try:
            look = await self._broker.exchange(ended, self.claiming, also)
        except BaseException as error:
            self._ended = [*ended, *self._ended]  # it is said again
            if not isinstance(error, AWAY) and "handler is closed" not in str(error):  # so says uvloop
                raise
            await self._wait_for_redis(error)
            return
        self._away = 0.0
        if look is not None:
            self._found(look, self.claiming)
        pauses = [settlement.delay / 1000 for settlement in ended if settlement.verb != "finish"]
        self._look_at = min(self._look_at, self.loop.time() + min(pauses, default=_LONGEST_WAIT))
        for settlement in [one for one in ended if one.ctx] if self.after_job_end is not None else ():
            task = self.loop.create_task(self._tell_after(settlement))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def _also(self, ended: Sequence[Settlement], say: Say) -> None:
        try:
            self.on_settle(say, ended)  # type: ignore[misc]  # it is only called where there is one
        except Exception:  # noqa: BLE001  # it is somebody else's
            logger.exception("on_settle failed")

    def look_soon(self) -> None:
        """Look for jobs in the next round trip, if a slot is free."""
        self._look_at = 0.0001

    def _wants(self) -> int:
        """Say how many jobs to claim now: none where there is no reason to look."""
        return self._free() if self.loop.time() >= self._look_at else 0

    def _free(self) -> int:
        """Say how many jobs may be started."""
        if self._stopping is not None or not self.allow_pick_jobs:
            return 0
        free = self.max_jobs - len(self.tasks)
        if self.burst and self.max_burst_jobs >= 0:
            free = min(free, self.max_burst_jobs - self._jobs_started())
        return max(0, free)

    def _found(self, look: Look, asked: int) -> None:
        """Start what was claimed; find out when to look again."""
        for claim in look.claims:
            self._start(claim)
        self._queued = look.queued
        if len(look.claims) == asked:
            self.look_soon()  # there may be more
            self._hungry.clear()
        else:
            due_in = self.poll_delay_s if look.due_in is None else min(self.poll_delay_s, look.due_in)
            self._look_at = self.loop.time() + min(due_in, _LONGEST_WAIT)
            self._hungry.set()

    def _start(self, claim: Claim) -> None:
        if self._stopping is not None or len(self.tasks) >= self.max_jobs:  # since the claim was sent
            self._ended.append(Settlement(claim, "back"))
        elif claim.job_id in self.tasks:  # the lease was lost; the run that had it is still on its way out
            self._ended.append(Settlement(claim, "wait", delay=1000))
        else:
            self._keeper.hold(claim)
            task = self.tasks[claim.job_id] = self.loop.create_task(Run(self, claim).settlement())
            self.job_counter = len(self.tasks)
            task.add_done_callback(partial(self._is_done, claim))

    def _is_done(self, claim: Claim, task: asyncio.Task[Settlement]) -> None:
        """Take note of how a run ended; cancelled before its first step, it is as good as not begun."""
        self._keeper.let_go(claim)
        self.tasks.pop(claim.job_id, None)
        self.aborting_tasks.discard(claim.job_id)
        self.job_counter = len(self.tasks)
        if task.cancelled():
            self._ended.append(Settlement(claim, "back"))
        elif (error := task.exception()) is not None:
            logger.error("job %s: its run failed", claim.job_id, exc_info=error)
            self._ended.append(Settlement(claim, "later", delay=1000))
        else:
            self._ended.append(task.result())
        if len(self._ended) in {1, self.max_jobs // 4} or not self.tasks:  # each time has its price
            self._wake.set()

    async def _until_there_is_something_to_do(self) -> None:
        """Wait for the end of a job, a hint, or the time to look; then for a moment, that others join it."""
        if not (self._is_over() or self._ended or self._wants()):
            await self._woken(self._look_at if self._free() else self.loop.time() + _LONGEST_WAIT)
        await self._gather()

    async def _gather(self) -> None:
        """While others run, let a few end: a round trip is shared by all that ends until it begins."""
        enough, until = self.max_jobs // 4, self.loop.time() + _GATHER
        while self.tasks and 0 < len(self._ended) < enough and self.loop.time() < until:
            await self._woken(until)

    async def _woken(self, at: float) -> None:
        self._wake.clear()
        timer = self.loop.call_at(at, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _wait_for_redis(self, error: BaseException) -> None:
        if not self._away:
            logger.warning("Redis is away (%s); what runs goes on", type(error).__name__)
        self._away = min(_AWAY_LONGEST, self._away * 2 or _AWAY_FIRST)
        await asyncio.sleep(self._away)

    async def _tell_after(self, settlement: Settlement) -> None:
        try:
            await self.after_job_end(settlement.ctx)  # type: ignore[misc]  # it is only called where there is one
        except Exception:  # noqa: BLE001  # it is somebody else's
            logger.exception("%s: after_job_end failed", settlement.claim.job_id)

    # Beside the work

    async def _listen(self) -> None:
        """Wait for hints while there are slots to fill; producers that give none are found by looking."""
        while True:
            await self._hungry.wait()
            try:
                hint = await self._broker.hear()
                if hint and not self._free():
                    self._hungry.clear()
                    await self._broker.pass_on()
                    continue
            except (*AWAY, RuntimeError):  # uvloop's, of a socket that is closed
                await asyncio.sleep(_TURN)
                continue
            if hint:
                self._hungry.clear()  # until the look has come back short
                self.look_soon()
                self._wake.set()

    async def _beat(self) -> None:
        """Record health, enqueue cron jobs, cancel what is aborted, every now and then."""
        while True:
            try:
                async with asyncio.timeout(_BEAT):  # the pool's connections may have no time-out of their own
                    if self.allow_abort_jobs:
                        await self._cancel_aborted_jobs()
                    await self.heart_beat()
            except AWAY as error:
                logger.debug("heart beat: %s", type(error).__name__)
            except Exception:  # noqa: BLE001  # a cron job that cannot be serialized, say
                logger.exception("heart beat failed")
            await asyncio.sleep(min(_TURN, self.poll_delay_s))

    async def record_health(self) -> None:
        """Write the health key, if it is time; where that fails, next time again."""
        before = self._last_health_check
        try:
            await super().record_health()
        except BaseException:
            self._last_health_check = before
            raise

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs whose time has come; where that fails, next time again."""
        for job in self.cron_jobs:
            if job.next_run is None and job.run_at_startup:
                job.next_run = n
        planned = [job.next_run for job in self.cron_jobs]
        try:
            await super().run_cron(n, delay, num_windows)
        except BaseException:
            for job, at in zip(self.cron_jobs, planned, strict=True):
                job.next_run = at
            raise

    async def _cancel_aborted_jobs(self) -> None:
        """Cancel running jobs that are to be aborted; forget what was to be aborted long ago."""
        running = [*self.job_tasks]
        async with self.pool.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(abort_jobs_ss, "-inf", (time.time() - abort_job_max_age) * 1000)
            for job_id in running:
                pipe.zrem(abort_jobs_ss, job_id)
            _, *found = await pipe.execute()
        for job_id, to_abort in zip(running, found, strict=True):
            if to_abort and job_id in self.job_tasks:
                self.aborting_tasks.add(job_id)
                self.job_tasks[job_id].cancel()

    def _lost_soon(self, claim: Claim) -> None:
        """Hear of a lost lease from the thread that renews."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._lost, claim)

    def _lost(self, claim: Claim) -> None:
        logger.warning("job %s: its lease is lost; it will be run again", claim.job_id)
        if (task := self.tasks.get(claim.job_id)) is not None:
            task.cancel()

    # The end

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """First signal: claim nothing more, finish what can be finished in time. Second: hand it back now."""
        if self._stopping is not None:
            self.handle_sig(signum)
            return
        self._stop(signum)
        self.loop.call_later(self._job_completion_wait, self._hand_back)

    def handle_sig(self, signum: Signals) -> None:
        """Claim nothing more and hand back what runs."""
        self._stop(signum)
        self._hand_back()

    def _stop(self, signum: Signals) -> None:
        signum = Signals(signum)
        if self._stopping is None:
            logger.info("shutdown on %s ◆ %r", signum.name, self)
            self._stopping, self.allow_pick_jobs = signum, False
            if self.main_task is not None and not self._at_work:
                self.main_task.cancel()  # it waits for Redis, or for a hook
            if self.on_stop:
                self.on_stop(signum)
        self._wake.set()

    def _hand_back(self) -> None:
        self.handing_back = True
        for task in [*self.tasks.values()]:
            task.cancel()

    async def close(self) -> None:
        """Stop if still at work, tell the hook, and close the connections."""
        if self.main_task is not None and not self.main_task.done():
            self.handle_sig(Signals.SIGTERM)
            await asyncio.wait({self.main_task})
        if self._pool is None:
            return
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        await self.pool.aclose(close_connection_pool=True)
        self._pool = None
