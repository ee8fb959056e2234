"""How to send commands, and how to get their results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar, cast
from uuid import UUID

from redis.asyncio import Redis

from .commands import Command
from .commands.lanes import NOWHERE, Standing
from .connection import connect
from .durability import Durability
from .enqueue import Enqueue
from .errors import CommandConflict, InvalidSettings, Unsent
from .ledger import Ledger
from .sending import Moment, Sending, with_ids
from .settings import QueueSettings
from .tracing import sending as traced
from .waiting import Waiting
from .wire import Answer, Envelope, Keys, command_uuid

R = TypeVar("R")
Status = Literal["accepted", "duplicate", "written"]

_BATCH, _SOME = 1000, 100


@dataclass(frozen=True, slots=True)
class Receipt(Generic[R]):
    """What the sender of a command holds.

    `status` is "accepted", or "duplicate" where the same command had been accepted before; "written" where
    it comes by the outbox; None where the receipt was found again, which says nothing about it.
    """

    command_id: UUID
    status: Status | None
    command: Command[R] | type[Command[R]]
    _producer: Producer

    async def result(self, timeout: float | None = None) -> R:
        """Wait at most `timeout` seconds for the result, or for ever.

        Raises CommandRejected, CommandConflict, CommandDead, CommandParked, ResultTimeout, ResultExpired and
        QueueUnavailable. After ResultTimeout and CommandParked the command still waits for its turn.
        """
        will_come = self.status == "written"
        answer = await self._producer.answer(self.command_id, timeout, will_come=will_come)
        answer.raise_error(self.command_id)
        if isinstance(self.command, Command):
            return self.command.parse_result(answer.result)
        return cast("R", self.command.result_type().validate_python(answer.result))


class Producer:
    """Sends commands to the queue; use it with `async with`, and share one between tasks.

    `url` is $REDIS_URL by default, `queue` $QUEUE_NAME, `durability` $QUEUE_DURABILITY; a `redis` client of
    your own is used, not closed. With a `ledger` the ids of writes are put down in that file.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        queue: str | None = None,
        durability: Durability | None = None,
        settings: QueueSettings | None = None,
        redis: Redis | None = None,
        ledger: Path | str | None = None,
    ) -> None:
        self.settings = settings or QueueSettings.load(redis_url=url, name=queue)
        if durability is not None:
            self.settings = QueueSettings.load(**{**dict(self.settings), "durability": durability})
        self.keys = Keys(self.settings.name)
        self._owns_redis = redis is None
        if redis is not None and redis.connection_pool.connection_kwargs.get("decode_responses"):
            message = "redis: a client with decode_responses=True cannot be used; make one without"
            raise InvalidSettings(message)
        self.redis: Redis = redis if redis is not None else connect(self.settings, Redis)
        self._waiting = Waiting(self.redis, self.keys)
        self._ledger = None if ledger is None else Ledger(ledger)
        self._enqueue = Enqueue(self.redis, self.keys, self.settings, self._ledger)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that this producer opened."""
        await self._waiting.close()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        if self._owns_redis:
            await self.redis.aclose()

    async def send(
        self,
        command: Command[R],
        *,
        command_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        deadline: Moment | None = None,
        ordering_key: str | None = None,
    ) -> Receipt[R]:
        """Hand one command to the queue.

        `command_id`: send the same id again and the command still runs once. `delay` (seconds) or `at` (an
        aware time) is when it is due by Redis's clock; past `deadline` (seconds from now, or a time) it is
        not begun. Commands of one `ordering_key` run one after the other, whatever they are about.

        Raises CommandConflict, QueueFull, QueueUnavailable, DurabilityUnconfirmed.
        """
        sending = self._sending(command, command_id, ordering_key=ordering_key)
        [receipt] = await self._submit([sending.at(delay=delay, at=at, deadline=deadline)])
        return cast("Receipt[R]", receipt)

    async def send_many(
        self,
        commands: Iterable[Command[R]],
        *,
        command_ids: Iterable[UUID | str] | None = None,
        ordered: bool = True,
    ) -> list[Receipt[R]]:
        """Hand many commands to the queue, a thousand in one round trip.

        Where they are not `ordered`, they keep no order with others of the same row, and wait for none.
        A full queue or a lost Redis refuses a thousand whole, a conflict only the commands in conflict;
        either ends the call. What was accepted until then stands in the error's `accepted`.
        """
        pairs = with_ids(commands, command_ids)
        receipts: list[Receipt[Any]] = []
        batch = await self._batch(pairs, ordered=ordered)
        while batch:
            submitting = asyncio.create_task(self._submit(batch))
            try:
                batch = await self._batch(pairs, ordered=ordered)  # while Redis is at work on the one before
            finally:
                await self._submitted(submitting, receipts)
        return receipts

    async def _batch(
        self, pairs: Iterator[tuple[Command[Any], UUID | str | None]], *, ordered: bool
    ) -> list[Sending]:
        """Make the next thousand ready, and let what is on its way be written in between."""
        batch: list[Sending] = []
        while len(batch) < _BATCH and (
            some := [
                self._sending(command, command_id, ordered=ordered)
                for command, command_id in islice(pairs, _SOME)
            ]
        ):
            batch += some
            await asyncio.sleep(0)
        return batch

    @staticmethod
    async def _submitted(submitting: asyncio.Task[list[Receipt[Any]]], receipts: list[Receipt[Any]]) -> None:
        """Wait for the receipts of a thousand, and put them to those of the ones before."""
        try:
            receipts += await submitting
        except asyncio.CancelledError:
            submitting.cancel()
            await asyncio.wait({submitting})
            raise
        except Unsent as error:
            error.accepted = [*receipts, *error.accepted]
            if isinstance(error, CommandConflict):
                error.conflicts = [len(receipts) + place for place in error.conflicts]
            raise

    async def send_wired(
        self,
        command: type[Command[R]],
        payload: dict[str, Any],
        *,
        command_id: UUID,
        fingerprint: str,
        stands: Standing = NOWHERE,
    ) -> Receipt[R]:
        """Hand over a command whose payload is JSON values already, and valid, as that of a file's rows is.

        Raises PayloadTooLarge, CommandConflict, QueueFull, QueueUnavailable.
        """
        envelope = Envelope(command_id, command.kind, command.version, fingerprint, 0, payload)
        sending = Sending.wired(command, envelope, limit=self.settings.payload_limit, stands=stands)
        [receipt] = await self._submit([sending])
        return cast("Receipt[R]", receipt)

    def receipt(self, command_id: UUID | str, command: type[Command[R]]) -> Receipt[R]:
        """Find the receipt of a command that was sent before, perhaps by another process."""
        return Receipt(command_uuid(command_id), None, command, self)

    async def resend(
        self, command: Command[Any], command_id: UUID, generation: int, stands: Standing
    ) -> None:
        """Replay a failed command: a higher generation goes before what was marked and answered.

        Where it still has a place in its lanes, it keeps it.
        """
        await self._submit([Sending.again(command, command_id, generation, stands)], again=True)

    async def answer(self, command_id: UUID, timeout: float | None, *, will_come: bool = False) -> Answer:
        """Wait for the answer of the worker, whatever it says."""
        return await self._waiting.answer(command_id, timeout, will_come=will_come)

    def _sending(self, command: Command[Any], command_id: UUID | str | None, **options: Any) -> Sending:
        return Sending.of(command, command_id, limit=self.settings.payload_limit, **options)

    async def _submit(self, batch: Sequence[Sending], *, again: bool = False) -> list[Receipt[Any]]:
        with traced(self.keys.queue, batch) as bearing:
            return await self._receipts(bearing, again=again)

    async def _receipts(self, batch: Sequence[Sending], *, again: bool) -> list[Receipt[Any]]:
        said = await self._enqueue(batch, again=again)
        accepted = [
            Receipt(sending.command_id, cast("Status", status), sending.command, self)
            for sending, status in zip(batch, said.statuses, strict=True)
            if status != "conflict"
        ]
        if not said.is_confirmed:
            missing = self._enqueue.confirmation.missing
            missing.accepted = accepted
            if len(batch) == 1:
                missing.command_id, missing.command = batch[0].command_id, batch[0].command
            raise missing
        if len(accepted) < len(batch):
            conflicts = [place for place, status in enumerate(said.statuses) if status == "conflict"]
            first = batch[conflicts[0]]
            message = f"command id {first.command_id} was used before, for another command"
            error = CommandConflict(message, command_id=first.command_id)
            error.accepted, error.conflicts = accepted, conflicts
            raise error
        return accepted
