"""The page to read first: one command, one session, one transaction, one ending.

execute
  look      a command that was delivered before may have its ending already: adopt it
  attempt   a new session (transaction.py); the handler; last, in its transaction, the row `applied`; COMMIT
  classify  an attempt that failed: look again, then ask what the error means
  follow    run again at once, run again later, or end as rejected, dead, expired

Nothing here knows Redis: a failure is counted through the delivery, and what is returned is either the
Answer, whose row is committed, or Later, and then no row of this delivery is.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

from producers.commands import Command, UnreadableCommand
from producers.wire import Answer, Ending

from . import doubt, driver, orphans, retry, suspects
from .dead_letters import resolve_letter, write_conflict, write_letter
from .delivery import UNBEGUN, Delivery, Later
from .endings import CONFLICT, find_answer, insert_ending
from .failure import Cause, Failure
from .logs import log
from .transaction import attempt

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from .app import App

_CONFLICTS, _SESSION_GONE = 20, "08003"
_REFUSALS = {Cause.REFUSED: Ending.REJECTED, Cause.SUPERSEDED: Ending.SUPERSEDED}


class EndedElsewhere(Exception):
    """The row of the ending was there: another delivery of this command committed first."""


async def execute(app: App, delivery: Delivery) -> Answer | Later:
    """Carry out one delivery: return the answer of its command, or when to deliver it again."""
    execution = Execution(app, delivery)
    try:
        return await execution.run()
    except Exception as error:  # noqa: BLE001  # it could not be looked up or recorded: it is kept
        met = retry.classify(error)
        log.error("command.unsettled", **about(delivery), error=met.error_class, sqlstate=met.sqlstate)
        away = await doubt.is_away(app)
        return Later(retry.jittered(1), execution.failure or met, away=away, crashed=execution.crashed)


def about(delivery: Delivery) -> dict[str, str]:
    """Return what a log line says of a command: no values."""
    return {"command_id": str(delivery.command_id), "kind": delivery.kind}


class Execution:
    """One delivery on its way to an ending."""

    def __init__(self, app: App, delivery: Delivery) -> None:
        self.app, self.delivery, self.options = app, delivery, app.options
        self.command: Command[Any] | None = None
        self.failure: Failure | None = None
        self.crashed, self._in_handler = False, False
        self.problem: UnreadableCommand | None = None
        try:
            self.command = delivery.revived = delivery.command(app.registry)
        except UnreadableCommand as problem:
            self.problem = problem
        self.read_only = self.command is not None and self.command.read_only

    async def run(self) -> Answer | Later:  # noqa: PLR0911
        """Look where it may have ended, end it unbegun, or attempt it until something follows."""
        if not self.delivery.first and (found := await self._look()) is not None:
            return found
        if (convicted := self.delivery.conviction) is not None:
            runs = suspects.MOST if convicted.cause is Cause.POISON else 0
            return await self._fail(_REFUSALS.get(convicted.cause, Ending.DEAD), convicted, runs)
        if (ending := self.delivery.unbegun) is not None:
            return await self._record(Answer(ending, error=UNBEGUN[ending]))
        deadline = asyncio.get_running_loop().time() + self.options.job_timeout
        for turn in count(1):
            try:
                return await self._attempt(deadline)
            except EndedElsewhere:
                self.failure = None
            except Exception as error:  # noqa: BLE001  # every error has a line in the table of retry.py
                self.failure = self.app.tally.failed(self.delivery.told(error, self.app.registry))
                self.crashed = self._in_handler and self.failure.sqlstate == _SESSION_GONE
            if (found := await self._look()) is not None:
                return found
            if self.failure is None:  # what ended it was replayed or pruned between the two looks
                return Later(retry.jittered(0.1))
            if (follows := await self._follow(self.failure, turn)) is not None:
                return follows
        raise AssertionError  # pragma: no cover  # count() has no end

    async def _attempt(self, deadline: float) -> Answer:
        """Run the handler and insert the row `applied`, in one transaction of a session of its own."""
        if self.command is None:
            raise self.problem or UnreadableCommand
        self._in_handler = False
        sessions = self.app.sessions_for(self.command, first=self.delivery.first)
        begun = attempt(sessions, self.options, deadline, read_only=self.read_only, kept=self.app.kept)
        async with begun as session:
            self._in_handler = True
            value = await self.app.handle(session, self.command)
            self._in_handler = False
            if self.read_only:
                return Answer(Ending.ANSWERED, self.command.dump_result(value))
            if driver.has_changes(session):
                await session.flush()
            answer = Answer(Ending.APPLIED, self.command.dump_result(value))
            if not await self._insert(session, answer):
                raise EndedElsewhere
            if self.delivery.generation:
                await resolve_letter(session, self.app.tables, self.delivery.command_id)
            if self.app.feed is not None:
                await self.app.feed.write(session, self.delivery.command_id, self.command, answer.result)
        return answer

    async def _look(self) -> Answer | None:
        """Look for the ending, on the primary, in a new transaction."""
        if self.read_only:
            return None
        async with self.app.transaction() as session:
            found = await find_answer(session, self.app.tables, self.delivery)
            if found is not None and found.error is CONFLICT:
                await write_conflict(session, self.app.tables, self.delivery)
        if found is not None:
            self.app.tally.adopted += 1
            log.info("command.adopted", **about(self.delivery), ending=found.ending.value)
        return found

    async def _follow(self, failure: Failure, turn: int) -> Answer | Later | None:  # noqa: PLR0911
        """Say what follows from a failure: None is to run again at once."""
        match failure.cause:
            case Cause.CONFLICT if turn <= _CONFLICTS:
                await asyncio.sleep(self._later(failure, retry.jittered(0.01)).delay)
                return None
            case Cause.STALE if turn == 1:
                return None
            case Cause.UNKNOWN:
                return self._later(failure, retry.jittered(0.2))
            case Cause.AWAY | Cause.SLOW if await doubt.is_away(self.app):
                return self._later(failure, retry.jittered(1), away=True)
            case Cause.REFUSED | Cause.SUPERSEDED:
                return await self._fail(_REFUSALS[failure.cause], failure, 1)
            case Cause.PARENT:
                pause, counted = await orphans.pause(self.app, self.delivery, self.command)
                if pause is not None:
                    return self._later(failure, pause)
                return await self._fail(Ending.REJECTED, failure, counted)
            case Cause.UNREADABLE:
                tries = await self.delivery.count("unreadable")
                if tries.age < self.options.unreadable_timeout:
                    return self._later(failure, retry.backoff(tries.count, first=1, cap=30) + 0.1)
                return await self._fail(Ending.DEAD, failure, tries.count)
            case _:
                return await self._counted(failure)

    async def _counted(self, failure: Failure) -> Answer | Later:
        attempts = (await self.delivery.count("attempts")).count
        if attempts >= self.options.max_attempts:
            return await self._fail(Ending.DEAD, failure, attempts)
        patience = 10 if failure.cause is Cause.DEPLOY else 1  # a migration may be on its way
        first, cap = self.options.backoff * patience, self.options.backoff_cap
        return self._later(failure, retry.backoff(attempts, first=first, cap=cap), attempts)

    def _later(self, failure: Failure, delay: float, attempts: int = 0, *, away: bool = False) -> Later:
        self.app.tally.retry(failure)
        log.warning("command.retried", **about(self.delivery), **failure.told(attempts, delay))
        return Later(delay, failure, away=away, crashed=self.crashed)

    async def _fail(self, ending: Ending, failure: Failure, attempts: int) -> Answer | Later:
        error = {"code": failure.code, "message": failure.message, "field": failure.field}
        letter = None if ending is Ending.SUPERSEDED else failure  # there is nothing to mend
        return await self._record(Answer(ending, error=error), letter, attempts)

    async def _record(
        self, answer: Answer, failure: Failure | None = None, attempts: int = 0
    ) -> Answer | Later:
        """Commit an ending other than `applied`, with its dead letter; adopt another one that was first."""
        if self.read_only:
            return answer
        async with self.app.transaction() as session:
            inserted = await self._insert(session, answer)
            if inserted and failure is not None:
                await write_letter(
                    session, self.app.tables, self.delivery, failure, ending=answer.ending, attempts=attempts
                )
            elif inserted and self.delivery.generation:
                await resolve_letter(session, self.app.tables, self.delivery.command_id)
        return answer if inserted else await self._look() or Later(retry.jittered(0.1))

    async def _insert(self, session: AsyncSession, answer: Answer) -> bool:
        return await insert_ending(session, self.app.tables, self.delivery, answer, self.options.result_limit)
