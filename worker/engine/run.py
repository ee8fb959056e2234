"""One run of one job, by arq's rules: read it, find its function, call it, say what follows.

What can go wrong on the way is raised and becomes the job's result, as in arq; nothing that a job or hook
raises reaches the worker.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arq.cron import CronJob
from arq.jobs import DeserializationError, deserialize_job_raw, serialize_result
from arq.utils import args_to_string, ms_to_datetime, timestamp_ms, to_ms, truncate
from arq.worker import Function, JobExecutionFailed, Retry, RetryJob

from .job import Claim, Settlement, logger

if TYPE_CHECKING:
    from .worker import Worker

_RAN_ALREADY = 3_600_000
_RUNS_NOT_YET = 60_000
_NO_TEXT = 60_000
"""Milliseconds: no unique cron job of its time again; none of its id; no look at an id that is no text."""


class Ended(Exception):
    """The run is over before or without the function; what follows is known."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement = settlement


@dataclass(slots=True)
class Call:
    """A function and what it is called with, as the payload says."""

    function: Function | CronJob
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    job_try: int
    enqueued: int


class Run:
    """A claimed job on its way to a settlement."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self.worker, self.claim = worker, claim
        self.job_id = claim.job_id
        self.call: Call | None = None
        self.ctx: dict[Any, Any] = {}
        self.started = timestamp_ms()
        self.succeeded = False

    async def settlement(self) -> Settlement:
        """Run the job; whatever happens, return what Redis is to be told."""
        try:
            await self._spared()
            call = self.call = await self._read()
            self._may_run(call)
            settlement = self._finished(await self._call(call), success=True)
        except Ended as end:
            return end.settlement
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # it is the job's result
            settlement = self._after(error)
        return await self._told_hook(settlement)

    async def _spared(self) -> None:
        """Ask what becomes of a job that has ended its process before, time and again."""
        worker = self.worker
        if worker.on_poison is not None and self.claim.silent >= worker.poison_after:
            settlement = await worker.on_poison(self.claim)
            if settlement is not None:
                raise Ended(settlement)

    async def _read(self) -> Call:
        """Read the payload, and find the function that it names."""
        worker, claim = self.worker, self.claim
        if not claim.is_text:
            logger.error("job %r: its id is not text; it is left in the queue", claim.raw_id)
            raise Ended(Settlement(claim, "later", delay=_NO_TEXT))
        problem: Exception | None = None
        name, args, kwargs, job_try, enqueued = "<unknown>", (), {}, None, 0  # type: ignore[var-annotated]
        if claim.body is None:
            problem = JobExecutionFailed("job expired")
        else:
            try:
                name, args, kwargs, job_try, enqueued = deserialize_job_raw(
                    claim.body, deserializer=worker.job_deserializer
                )
            except DeserializationError as error:
                problem = error
            else:
                if name not in worker.functions:
                    problem = JobExecutionFailed(f"function {name!r} not found")
        if problem is not None:
            self.call = Call(_NOBODY, name, args, kwargs, claim.tries, enqueued)
            await self._ask_about(problem)
            raise problem
        tries = claim.tries if not job_try else job_try + claim.tries - 1
        return Call(worker.functions[name], name, args, kwargs, tries, enqueued)

    async def _ask_about(self, problem: Exception) -> None:
        """Ask what becomes of a job that cannot be read."""
        logger.warning("job %s: %s", self.job_id, problem)
        if self.worker.on_unreadable is not None:
            settlement = await self.worker.on_unreadable(self.claim, problem)
            if settlement is not None:
                raise Ended(settlement)

    def _may_run(self, call: Call) -> None:
        """Refuse a job that was aborted before it began, or has been tried too often."""
        if self.claim.aborted:
            self.worker.aborting_tasks.add(self.job_id)
            raise asyncio.CancelledError
        given = call.function.max_tries
        most = self.worker.max_tries if given is None else given
        if call.job_try > most:
            raise JobExecutionFailed(f"max {most} retries exceeded")

    async def _call(self, call: Call) -> Any:
        """Call the function, within its time."""
        worker, claim = self.worker, self.claim
        self.ctx = {
            **worker.ctx,
            "job_id": self.job_id,
            "job_try": call.job_try,
            "enqueue_time": ms_to_datetime(call.enqueued),
            "score": int(claim.score),
        }
        if worker.on_job_start is not None:
            await worker.on_job_start(self.ctx)
        self.started = timestamp_ms()
        self._log_start(call)
        given = call.function.timeout_s
        async with asyncio.timeout(worker.job_timeout_s if given is None else given):
            return await call.function.coroutine(self.ctx, *call.args, **call.kwargs)

    def _after(self, error: BaseException) -> Settlement:
        """Say what follows from an error: run it again, hand it back, or let it be the result."""
        worker, claim, ref = self.worker, self.claim, self._ref
        if worker.retry_jobs and isinstance(error, Retry):
            worker.jobs_retried += 1
            logger.info("%s retrying job in %0.2fs", ref, (error.defer_score or 0) / 1000)
            return Settlement(claim, "later", delay=error.defer_score or 0, ctx=self.ctx)
        if isinstance(error, asyncio.CancelledError) and self.job_id in worker.aborting_tasks:
            worker.aborting_tasks.discard(self.job_id)
            logger.info("%s aborted", ref)
            return self._finished(error, success=False)
        if worker.retry_jobs and isinstance(error, asyncio.CancelledError | RetryJob):
            worker.jobs_retried += 1
            logger.info("%s cancelled, will be run again", ref)
            return Settlement(claim, "back" if worker.handing_back else "again", ctx=self.ctx)
        return self._finished(self._failed(error), success=False)

    def _finished(self, value: Any, *, success: bool) -> Settlement:
        """Say that it is over, with what is kept of it."""
        worker = self.worker
        if success:
            self._log_end(value)  # a result that cannot be shown is a failure, as in arq
            worker.jobs_complete += 1
        else:
            worker.jobs_failed += 1
        self.succeeded = success
        settlement = Settlement(self.claim, "finish", value if success else None, ctx=self.ctx)
        function = self.call.function if self.call else _NOBODY
        for_ever = worker.keep_result_forever
        if function.keep_result_forever is not None:
            for_ever = function.keep_result_forever
        keep = worker.keep_result_s if function.keep_result_s is None else function.keep_result_s
        if for_ever or (keep or 0) > 0:
            settlement.result = self._result(value, success=success)
            settlement.keep_result = None if for_ever else to_ms(keep)
        if isinstance(function, CronJob):
            named_by_time = function.unique and function.job_id is None
            settlement.keep_progress = _RAN_ALREADY if named_by_time else _RUNS_NOT_YET
            settlement.ran_already = named_by_time
        return settlement

    def _result(self, value: Any, *, success: bool) -> bytes | None:
        call = self.call or Call(_NOBODY, "<unknown>", (), {}, self.claim.tries, 0)
        about = (call.name, call.args, call.kwargs, call.job_try, call.enqueued, success, value)
        where = (self._ref, self.worker.queue_name, self.job_id)
        return serialize_result(
            *about, self.started, timestamp_ms(), *where, serializer=self.worker.job_serializer
        )

    async def _told_hook(self, settlement: Settlement) -> Settlement:
        """Tell the hook at the end of a job; one that raises makes of a success a failure, and no more."""
        hook = self.worker.on_job_end
        if hook is None or not self.ctx:
            return settlement
        try:
            await hook(self.ctx)
        except asyncio.CancelledError:
            logger.warning("%s: on_job_end was cancelled", self._ref)
        except Exception as error:  # noqa: BLE001  # as above
            if self.succeeded:
                self.succeeded = False
                self.worker.jobs_complete -= 1
                return self._after(error)
            logger.exception("%s: on_job_end failed", self._ref)
        return settlement

    @property
    def _ref(self) -> str:
        if self.call is None:
            return self.job_id
        return (
            self.call.name if isinstance(self.call.function, CronJob) else f"{self.job_id}:{self.call.name}"
        )

    def _log_start(self, call: Call) -> None:
        if logger.isEnabledFor(logging.INFO):
            waited = (self.started - call.enqueued) / 1000
            again = f" try={call.job_try}" if call.job_try > 1 else ""
            logger.info("%6.2fs → %s(%s)%s", waited, self._ref, args_to_string(call.args, call.kwargs), again)

    def _failed(self, error: BaseException) -> BaseException:
        """Log an error; where it cannot be shown, that is the error, as in arq."""
        try:
            extra = getattr(error, "extra", None)
            told = {"extra": extra() if callable(extra) else extra}
            logger.error(
                "%s failed, %s: %s", self._ref, type(error).__name__, error, exc_info=error, extra=told
            )
        except Exception as worse:  # noqa: BLE001  # it is the job's
            logger.error("%s failed, %s", self._ref, type(error).__name__)
            return worse
        return error

    def _log_end(self, value: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            took = (timestamp_ms() - self.started) / 1000
            shown = truncate(repr(value)) if self.worker.log_results and value is not None else ""
            logger.info("%6.2fs ← %s ● %s", took, self._ref, shown)


async def _nobody(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    """Stands for a function that is not there."""


_NOBODY = Function("<unknown>", _nobody, None, None, None, None)
