"""The producer for code that is not async: scripts, notebooks, IPython, cron jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from .client import Producer, Receipt, Status
from .commands import Command
from .durability import Durability
from .errors import Unsent
from .settings import QueueSettings

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlockingReceipt(Generic[R]):
    """A receipt whose `result` blocks."""

    _receipt: Receipt[R]
    _producer: BlockingProducer

    @property
    def command_id(self) -> UUID:
        """The id of the command."""
        return self._receipt.command_id

    @property
    def status(self) -> Status | None:
        """Either "accepted" or "duplicate"; None where the receipt was found again."""
        return self._receipt.status

    @property
    def command(self) -> Command[R] | type[Command[R]]:
        """The command as it was sent, its ids set; or its class, where the receipt was found again."""
        return self._receipt.command

    def result(self, timeout: float | None = None) -> R:
        """Wait at most `timeout` seconds for the result, or for ever; errors as of Receipt.result."""
        return self._producer.run(self._receipt.result(timeout))


class BlockingProducer:
    """A Producer on a thread and an event loop of its own; any thread may use it, inside a running loop too.

    Use it with `with`, or call `close()`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        queue: str | None = None,
        durability: Durability | None = None,
        settings: QueueSettings | None = None,
        ledger: Path | str | None = None,
    ) -> None:
        self._producer = Producer(  # before the loop: it may raise
            url, queue=queue, durability=durability, settings=settings, ledger=ledger
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="blocking-producer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self.run(self._producer.close())
        self.run(self._loop.shutdown_default_executor())  # its threads look host names up
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(
        self,
        command: Command[R],
        *,
        command_id: UUID | str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        deadline: float | timedelta | datetime | None = None,
        ordering_key: str | None = None,
    ) -> BlockingReceipt[R]:
        """Hand one command to the queue; arguments and errors are those of Producer.send."""
        sending = self._producer.send(
            command, command_id=command_id, delay=delay, at=at, deadline=deadline, ordering_key=ordering_key
        )
        with self._ours():
            return BlockingReceipt(self.run(sending), self)

    def send_many(
        self,
        commands: Iterable[Command[R]],
        *,
        command_ids: Iterable[UUID | str] | None = None,
        ordered: bool = True,
    ) -> list[BlockingReceipt[R]]:
        """Hand many commands to the queue, a thousand in one round trip."""
        with self._ours():
            receipts = self.run(self._producer.send_many(commands, command_ids=command_ids, ordered=ordered))
        return [BlockingReceipt(receipt, self) for receipt in receipts]

    def receipt(self, command_id: UUID | str, command: type[Command[R]]) -> BlockingReceipt[R]:
        """Find the receipt of a command that was sent before."""
        return BlockingReceipt(self._producer.receipt(command_id, command), self)

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Have errors hold receipts that block."""
        try:
            yield
        except Unsent as error:
            error.accepted = [BlockingReceipt(receipt, self) for receipt in error.accepted]
            raise

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the producer's loop and wait for it."""
        if self._loop.is_closed():
            coroutine.close()
            message = "this BlockingProducer is closed; make a new one"
            raise RuntimeError(message)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # such as KeyboardInterrupt: it must not leave the work waiting in the loop
            future.cancel()
            raise
