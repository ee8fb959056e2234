"""One run of one job, by arq's rules: read it, find its function, call it, say what follows.

What can go wrong on the way is raised and becomes the job's result, as in arq; nothing that a job or hook
raises reaches the worker.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from arq.cron import CronJob
from arq.jobs import deserialize_job_raw, serialize_result
from arq.utils import args_to_string, ms_to_datetime, timestamp_ms, to_ms, truncate
from arq.worker import Function, JobExecutionFailed, Retry, RetryJob

from .job import Claim, Settlement, logger
from .limit import Limit

if TYPE_CHECKING:
    from arq.typing import StartupShutdown

    from .worker import Worker

_RAN_ALREADY, _RUNS_NOT_YET, _NO_TEXT = 3_600_000, 60_000, 60_000
"""Milliseconds: no unique cron job of its time again; none of its id; no look at an id that is no text."""


class Run:
    """A claimed job on its way to a settlement; what its payload says is known once it is read."""

    name, args, kwargs, enqueued, succeeded = "<unknown>", (), {}, 0, False  # type: ignore[var-annotated]

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self.worker, self.claim = worker, claim
        self.job_id, self.job_try = claim.job_id, claim.tries
        self.function: Function | CronJob = _NOBODY
        self.ctx: dict[Any, Any] = {}
        self.started = timestamp_ms()
        self.problem = self._read()  # all that are claimed together, one after the other: it is quicker

    async def settlement(self) -> Settlement:
        """Run the job; whatever happens, return what Redis is to be told."""
        worker, claim = self.worker, self.claim
        try:
            is_odd = self.problem is not None or claim.silent >= worker.poison_after
            if is_odd and (asked := await self._ask()) is not None:
                return asked
            self._may_run()
            settlement = self._finished(await self._call(), success=True)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # it is the job's result
            settlement = self._after(error)
        if worker.on_job_end is None or not self.ctx:
            return settlement
        return await self._told_hook(worker.on_job_end, settlement)

    async def _ask(self) -> Settlement | None:
        """Ask what becomes of a job that has ended its process time and again, or cannot be read."""
        worker, claim, problem, asked = self.worker, self.claim, self.problem, None
        if worker.on_poison is not None and claim.silent >= worker.poison_after:
            asked = await worker.on_poison(claim)
        if asked is not None or problem is None:
            return asked
        if not claim.is_text:
            logger.error("job %r: its id is not text; it is left in the queue", claim.raw_id)
            return Settlement(claim, "later", delay=_NO_TEXT)
        logger.warning("job %s: %s", self.job_id, problem)
        if worker.on_unreadable is None or (asked := await worker.on_unreadable(claim, problem)) is None:
            raise problem
        return asked

    def _read(self) -> Exception | None:
        """Read the payload, and find the function that it names; return what is wrong with it."""
        claim, worker = self.claim, self.worker
        if not claim.is_text or claim.body is None:
            return JobExecutionFailed("job expired")
        try:
            self.name, self.args, self.kwargs, job_try, self.enqueued = deserialize_job_raw(
                claim.body, deserializer=worker.job_deserializer
            )
            if self.name not in worker.functions:
                return JobExecutionFailed(f"function {self.name!r} not found")
            self.function = worker.functions[self.name]
            self.job_try += job_try - 1 if job_try else 0
        except Exception as error:  # noqa: BLE001  # a payload of the wrong kind can raise anything
            return error
        return None

    def _may_run(self) -> None:
        """Refuse a job that was aborted before it began, or has been tried too often."""
        if self.claim.aborted:
            self.worker.aborting_tasks.add(self.job_id)
            raise asyncio.CancelledError
        given = self.function.max_tries
        most = self.worker.max_tries if given is None else given
        if self.job_try > most:
            raise JobExecutionFailed(f"max {most} retries exceeded")

    async def _call(self) -> Any:
        """Call the function, within its time."""
        worker, function = self.worker, self.function
        self.ctx = {
            **worker.ctx,
            "job_id": self.job_id,
            "job_try": self.job_try,
            "enqueue_time": ms_to_datetime(self.enqueued),
            "score": int(self.claim.score),
            "silent": self.claim.silent,
        }
        if worker.on_job_start is not None:
            await worker.on_job_start(self.ctx)
        self.started = timestamp_ms()
        if logger.isEnabledFor(logging.INFO):
            self._log_start()
        given = function.timeout_s
        with Limit(worker.job_timeout_s if given is None else given):
            return await function.coroutine(self.ctx, *self.args, **self.kwargs)

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
            if logger.isEnabledFor(logging.INFO):
                self._log_end(value)  # a result that cannot be shown is a failure, as in arq
            worker.jobs_complete += 1
        else:
            worker.jobs_failed += 1
        self.succeeded = success
        settlement = Settlement(self.claim, "finish", value if success else None, ctx=self.ctx)
        function = self.function
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
        about = (self.name, self.args, self.kwargs, self.job_try, self.enqueued, success, value)
        where = (self._ref, self.worker.queue_name, self.job_id)
        return serialize_result(
            *about, self.started, timestamp_ms(), *where, serializer=self.worker.job_serializer
        )

    async def _told_hook(self, hook: StartupShutdown, settlement: Settlement) -> Settlement:
        """Tell the hook at the end of a job; one that raises makes of a success a failure, and no more."""
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
        return self.name if isinstance(self.function, CronJob) else f"{self.job_id}:{self.name}"

    def _log_start(self) -> None:
        waited = (self.started - self.enqueued) / 1000
        again = f" try={self.job_try}" if self.job_try > 1 else ""
        logger.info("%6.2fs → %s(%s)%s", waited, self._ref, args_to_string(self.args, self.kwargs), again)

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
        took = (timestamp_ms() - self.started) / 1000
        shown = truncate(repr(value)) if self.worker.log_results and value is not None else ""
        logger.info("%6.2fs ← %s ● %s", took, self._ref, shown)


_NOBODY = Function("<unknown>", None, None, None, None, None)  # type: ignore[arg-type]  # it is never called
