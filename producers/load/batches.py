"""The rows of a file on their way: sent in batches, waited for in batches, and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID

from ..client import Producer, Receipt
from ..commands import Command
from ..errors import (
    BadRow,
    CommandConflict,
    CommandDead,
    CommandParked,
    CommandRejected,
    PayloadTooLarge,
    QueueFull,
    ResultExpired,
)
from .loaded import Loaded

OnError = Literal["stop", "skip"]

_BATCH = 1000
_OUTSTANDING = 10  # batches whose results are waited for at one time
_READERS = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class RowCommand(NamedTuple):
    """A row that became a command."""

    line: int
    command: Command[Any]
    command_id: UUID


class Batches:
    """One batch that is not yet sent, and those whose results are waited for; `loaded` has the counts."""

    def __init__(
        self,
        producer: Producer,
        path: Path,
        *,
        on_error: OnError,
        wait: bool,
        report: Callable[[Loaded], None] | None,
    ) -> None:
        self.loaded = Loaded(size=path.stat().st_size)
        self._producer, self._path, self._on_error, self._wait = producer, path, on_error, wait
        self._report = report or (lambda _: None)
        most = producer.settings.max
        self._size = (
            _BATCH if most is None else min(_BATCH, max(1, most // 2))
        )  # a batch must fit in the queue
        self._batch: list[RowCommand] = []
        self._outstanding: deque[list[tuple[int, Receipt[Any]]]] = deque()
        self._report(self.loaded)

    def refuse(self, line: int, reason: str) -> None:
        """Count a bad row; raise BadRow where it is to stop the load."""
        self.loaded.add(line, "bad", reason)
        if self._on_error == "stop":
            raise BadRow(self._path, line, reason)

    async def add(self, sending: RowCommand) -> None:
        """Take one command; send what makes a batch."""
        self._batch.append(sending)
        if len(self._batch) >= self._size:
            await self._flush()
            await self._settle(_OUTSTANDING)

    async def finish(self) -> None:
        """Send what is left, and wait for what is outstanding."""
        await self._flush()
        await self._settle(0)

    async def _flush(self) -> None:
        batch, self._batch = self._batch, []
        while batch:
            try:
                receipts = await self._send(batch)
            except PayloadTooLarge as error:
                ids = [sending.command_id for sending in batch]
                large = ids.index(error.command_id) if error.command_id in ids else 0
                self._batch, batch = batch[:large], batch[large:]
                await self._flush()
                self.refuse(batch.pop(0).line, str(error))
            else:
                self._take(batch, receipts)
                break
        self._report(self.loaded)

    async def _send(self, batch: Sequence[RowCommand]) -> Sequence[Receipt[Any] | None]:
        pause = _FIRST_PAUSE
        while True:
            try:
                commands, ids = (s.command for s in batch), (s.command_id for s in batch)
                return await self._producer.send_many(commands, command_ids=ids)
            except CommandConflict as error:
                left = iter(error.accepted)
                return [None if place in error.conflicts else next(left) for place in range(len(batch))]
            except QueueFull as error:
                self.loaded.note = f"{error.code.replace('_', ' ')}: waiting {pause:g} s"
                self._report(self.loaded)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                self.loaded.note = ""

    def _take(self, batch: Sequence[RowCommand], receipts: Sequence[Receipt[Any] | None]) -> None:
        """Count what was accepted; a row without a receipt is in conflict with one of the same id."""
        outstanding = []
        for sending, receipt in zip(batch, receipts, strict=True):
            if receipt is None:
                self.loaded.add(sending.line, "rejected", "its key was loaded before, with other content")
                continue
            if receipt.status == "accepted":
                self.loaded.accepted += 1
            else:
                self.loaded.duplicate += 1
            outstanding.append((sending.line, receipt))
        if self._wait:
            self._outstanding.append(outstanding)

    async def _settle(self, left: int) -> None:
        """Wait for results until no more than `left` batches are outstanding."""
        while len(self._outstanding) > left:
            batch = iter(self._outstanding.popleft())
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(_READERS):
                        group.create_task(self._read(batch))
            except ExceptionGroup as errors:  # all of them say that Redis is away
                raise errors.exceptions[0] from None
            self._report(self.loaded)

    async def _read(self, batch: Iterator[tuple[int, Receipt[Any]]]) -> None:
        for line, receipt in batch:
            try:
                answer = await self._producer.answer(receipt.command_id, None)
                answer.raise_error(receipt.command_id)
            except (CommandRejected, CommandConflict) as error:
                self.loaded.add(line, "rejected", str(error))
            except (CommandDead, CommandParked) as error:
                self.loaded.add(line, "dead", str(error))
            except ResultExpired as error:
                if error.summary is None:
                    self.loaded.unanswered += 1
                else:
                    self.loaded.applied += 1
            else:
                self.loaded.applied += 1
