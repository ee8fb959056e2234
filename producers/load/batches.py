"""The rows of a file on their way: sent in batches, and waited for in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from ..client import Producer, Receipt
from ..commands import Command, Imported
from ..errors import CommandConflict, PayloadTooLarge, QueueFull
from .bulk import Bulk, RowCommand
from .loaded import Loaded
from .outcomes import Outcomes

_BATCH = 1000
_OUTSTANDING = 10  # batches whose results are waited for at one time
_READERS = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class Sent(NamedTuple):
    """Rows that went as one command: a row by itself, or the rows of an import."""

    rows: Sequence[RowCommand]
    receipt: Receipt[Any]
    imported: bool


class Batches:
    """Batches that are not yet sent, and those whose results are waited for."""

    def __init__(
        self,
        producer: Producer,
        outcomes: Outcomes,
        command: type[Command[Any]],
        *,
        wait: bool,
        ordered: bool,
        report: Callable[[Loaded], None],
    ) -> None:
        self._producer, self._outcomes, self._wait, self._report = producer, outcomes, wait, report
        self._bulk, self._ordered = Bulk(command, ordered=ordered), ordered
        most = producer.settings.max
        # A batch of commands must fit in the queue, and an import in a command: it shrinks where it does not.
        self._size = _BATCH if most is None else min(_BATCH, max(1, most // 2))
        self._import_size = _BATCH
        self._batch: list[RowCommand] = []
        self._imports: dict[str | None, list[RowCommand]] = {}
        self._outstanding: deque[list[Sent]] = deque()
        self.report()

    def report(self) -> None:
        """Tell how far it is."""
        self._report(self._outcomes.loaded)

    async def add(self, row: RowCommand) -> None:
        """Take one row; send what makes a batch."""
        if self._bulk.takes(row.command):
            by = self._bulk.by(row.command)
            rows = self._imports.setdefault(by, [])
            rows.append(row)
            if len(rows) < self._import_size:
                return
            await self._flush_import(by)
        else:
            self._batch.append(row)
            if len(self._batch) < self._size:
                return
            await self._flush()
        await self._settle(_OUTSTANDING)

    async def finish(self) -> None:
        """Send what is left, and wait for what is outstanding."""
        for by in list(self._imports):
            await self._flush_import(by)
        await self._flush()
        await self._settle(0)

    async def _flush_import(self, by: str | None) -> None:
        rows = self._imports.pop(by)
        while rows:
            some = rows[: self._import_size]
            try:
                [receipt] = await self._send(partial(self._import, some), 1)
            except PayloadTooLarge as error:
                if len(some) > 1:
                    self._import_size = (len(some) + 1) // 2
                    continue
                self._outcomes.bad(some[0].line, some[0].source, str(error))
                rows = rows[1:]
            else:
                self._take([(some, receipt)], imported=True)
                rows = rows[len(some) :]
                self._import_size = min(_BATCH, self._import_size + self._import_size // 8 + 1)
        self.report()

    async def _flush(self) -> None:
        batch, self._batch = self._batch, []
        while batch:
            ids = [UUID(bytes=row.id.bytes) for row in batch]
            try:
                commands = [row.command for row in batch]
                send = partial(self._producer.send_many, commands, command_ids=ids, ordered=self._ordered)
                receipts = await self._send(send, len(batch))
            except PayloadTooLarge as error:
                large = ids.index(error.command_id) if error.command_id in ids else 0
                self._batch, batch = batch[:large], batch[large:]
                await self._flush()
                row = batch.pop(0)
                self._outcomes.bad(row.line, row.source, str(error))
            else:
                self._take([([row], receipt) for row, receipt in zip(batch, receipts, strict=True)])
                break
        self.report()

    async def _import(self, rows: Sequence[RowCommand]) -> list[Receipt[Any]]:
        return [await self._bulk.send(self._producer, rows)]

    async def _send(
        self, send: Callable[[], Awaitable[Sequence[Receipt[Any]]]], count: int
    ) -> Sequence[Receipt[Any] | None]:
        pause, loaded = _FIRST_PAUSE, self._outcomes.loaded
        while True:
            try:
                return await send()
            except CommandConflict as error:
                left = iter(error.accepted)
                return [None if place in error.conflicts else next(left) for place in range(count)]
            except QueueFull as error:
                loaded.note = f"{error.code.replace('_', ' ')}: waiting {pause:g} s"
                self.report()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                loaded.note = ""

    def _take(
        self, batch: Sequence[tuple[Sequence[RowCommand], Receipt[Any] | None]], *, imported: bool = False
    ) -> None:
        """Count what was accepted; rows without a receipt are in conflict with others of the same id."""
        for rows, receipt in batch:
            self._outcomes.sent(rows, receipt.status if receipt else None)
        if self._wait:
            self._outstanding.append([Sent(rows, receipt, imported) for rows, receipt in batch if receipt])

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
            self.report()

    async def _read(self, batch: Iterator[Sent]) -> None:
        for sent in batch:
            answer = await self._producer.answer(sent.receipt.command_id, None)
            if self._outcomes.answered(sent.rows, answer, sent.receipt):
                continue
            if not sent.imported:
                self._outcomes.loaded.applied += 1
            else:
                new = sent.receipt.status == "accepted"
                self._outcomes.imported(sent.rows, Imported.model_validate(answer.result), accepted=new)
