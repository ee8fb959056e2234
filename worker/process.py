"""One worker process: the engine on our connections, started with what it needs and stopped in order."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from signal import Signals
from typing import TYPE_CHECKING, Any

from arq.worker import Retry, RetryJob, func

from producers.signing import Signing

from . import doubt, engine
from .breaker import Breaker
from .clock import Clock
from .delivering import carry_out, refusal
from .delivery import Later
from .deposits import DEPOSIT, Answered
from .epochs import Epochs
from .gate import Gate
from .health import ensure_ready
from .logs import log
from .monitoring.progress import Progress
from .monitoring.reports import Reporter
from .monitoring.standing import Standing, standing
from .monitoring.tally import Tally
from .received import Received, deserialize, serialize
from .service import (
    NEVER,
    SIGN_OF_LIFE,
    UNSETTLED_PAUSE,
    ended,
    longest,
    redis_pool,
    start,
    stop,
    tell_parked,
)
from .suspects import Suspects

if TYPE_CHECKING:
    from .app import App
    from .presence import Presence


async def execute(ctx: dict[str, Any], received: Received) -> Answered:
    """Run one job: deliver it to the executor; the engine settles what comes of it.

    Without an ending nothing but Retry and RetryJob is raised: the job stays.
    """
    presence: Presence = ctx["presence"]
    job_id: str = ctx["job_id"]
    began = time.monotonic()
    if ctx["silent"]:
        ctx["transport"].app.tally.recovered += 1
    with presence:
        try:
            if (pause := await refusal(ctx, received)) is not None:
                raise Retry(pause) if pause else RetryJob  # noqa: TRY301  # it is for the engine
            delivery, outcome = await carry_out(ctx, received)
        except (Retry, RetryJob):
            raise
        except BaseException as error:
            log.info("command.handed_back", job_id=job_id, error=type(error).__name__)
            raise (Retry(UNSETTLED_PAUSE) if isinstance(error, Exception) else RetryJob()) from error
    if isinstance(outcome, Later):
        raise Retry(outcome.delay)
    presence.finished += 1
    answered = Answered(job_id, delivery, outcome)
    if delivery.lanes:
        ctx["look_soon"]()  # in the round trip that settles: what stood behind it may run
    ended(ctx["transport"].app.tally, answered, received.due, began)
    return answered


class Process(engine.Worker):
    """The engine with an App: it looks before it starts, deposits answers, and ends in order."""

    def __init__(self, app: App, *, burst: bool = False, **settings: Any) -> None:
        options, queue, pool = app.options, app.queue, redis_pool(app)
        epochs, clock = Epochs(app, pool), Clock()
        ours = {
            "functions": [
                func(execute, name="execute", max_tries=NEVER, keep_result=0, timeout=longest(app))
            ],
            "queue_name": queue.name,
            "redis_pool": pool,
            "job_deserializer": partial(deserialize, registry=app.registry, signing=Signing.of(queue)),
            "job_serializer": serialize,
            "on_startup": partial(start, app, burst=burst),
            "on_shutdown": partial(stop, app),
            "on_settle": self._deposit,
            "broker": partial(Gate, epochs=epochs, clock=clock),
            "max_jobs": app.slots,
            "job_completion_wait": options.shutdown_timeout,
            "poll_delay": options.poll_delay,
            "health_check_interval": SIGN_OF_LIFE,
            "keep_result": 0,
            "log_results": False,
            "burst": burst,
            "ctx": {"epochs": epochs, "clock": clock},
        }
        super().__init__(**{**ours, **settings})
        self.app, self.slots = app, self.max_jobs
        self.ctx["look_soon"] = self.look_soon
        self._allowed, self._may_claim = self.slots, True
        self.ctx["suspects"] = Suspects(self._claim, lambda: len(self.tasks))
        self.ctx["breaker"] = self.breaker = Breaker(partial(doubt.is_away, app), self._allow)
        self.ctx["progress"] = self.progress = Progress(app.queue.redis_timeout)
        self.reporter: Reporter | None = None

    async def main(self) -> None:
        """Make sure of everything that the work needs, then work."""
        self.progress.begin()
        await ensure_ready(self.app, self.pool)
        try:
            if self.reporter is not None:
                await self.reporter.start()
            await super().main()
        finally:
            self.progress.end()
            if self.reporter is not None:
                await self.reporter.stop()
        if self.burst:
            await tell_parked(self.ctx["transport"])

    def tally(self) -> Tally:
        """Return what it has done; another thread may ask."""
        copy = Tally()
        copy.add(self.app.tally)
        return copy

    def standings(self) -> list[Standing]:
        """Tell how it stands; another thread may ask."""
        found = standing(self.app, len(self.tasks), self.breaker, self.progress)
        return [found._replace(at_work=found.at_work and self._stopping is None)]

    async def _exchange(self) -> None:
        await self.progress.look(super()._exchange)

    def _allow(self, more: int | None) -> None:
        """Take no more commands, or one beside those that run and hang, or with None as many as ever."""
        beside = len(self.tasks) if more else 0
        self._allowed = self.slots if more is None else min(self.slots, beside + more)
        self._limit()

    def _claim(self, may: bool) -> None:  # noqa: FBT001
        """Claim no command while one is run alone."""
        self._may_claim = may
        self._limit()

    def _limit(self) -> None:
        self.max_jobs = self._allowed if self._may_claim else 0
        self.look_soon()
        self._wake.set()

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """First signal: finish what runs. Second: hand it back at once."""
        self.progress.end()
        if "presence" in self.ctx and not self.ctx["presence"].stopping:
            self.ctx["presence"].stopping = True
            log.info("worker.stopping", signal=Signals(signum).name, running=len(self.tasks))
        super().handle_sig_wait_for_completion(signum)

    def without_supervisor(self) -> None:
        """End as after a SIGTERM: the supervisor was killed, and who starts it again starts others."""
        log.warning("worker.without_supervisor")
        self.handle_sig_wait_for_completion(Signals.SIGTERM)

    def _deposit(self, say: engine.Say, settled: Sequence[engine.Settlement]) -> None:
        registry = self.app.registry
        told = [one.value.told(registry) for one in settled if isinstance(one.value, Answered)]
        if told:
            say(DEPOSIT, *self.ctx["transport"].deposits.words(told, ring=not self.claiming))


def run(app: App, *, burst: bool = False, report_to: int | None = None) -> None:
    """Run one worker until it is told to stop, or, with `burst`, until nothing is due.

    It serves HTTP if it is to, or reports by a pipe to who does. Raises NotReady where it cannot start.
    """
    spare_the_collector()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        asyncio.set_event_loop(runner.get_loop())
        process = Process(app, burst=burst)
        if report_to is not None:
            process.reporter = Reporter(
                report_to, app.tally, lambda: process.standings()[0], process.without_supervisor
            )
        with _served(app, process):
            process.run()


def _served(app: App, process: Process) -> AbstractContextManager[None]:
    """Serve HTTP while it runs, if that is wanted."""
    if not app.options.http:
        return nullcontext()
    from .monitoring.endpoint import serving  # noqa: PLC0415  # it costs memory

    return serving(app, process)


def spare_the_collector() -> None:
    """Have cycles looked for less often, and never in what is there by now: it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415  # not on Windows

    return uvloop.new_event_loop
