"""Commands that stop a worker in each way: `--app tests.integration.watched_app`. Its leases are short."""

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command
from tests.waiting import until
from worker.app import App
from worker.engine import worker
from worker.handlers import HANDLERS

worker._LEASE, worker._RENEWED_EVERY = 1.0, 0.3

PATH = "tests.integration.watched_app"


class Block(Command[None]):
    """Blocks the event loop."""

    kind: ClassVar[str] = "loop.block"

    seconds: float


class Hang(Command[None]):
    """Has the engine wait for what never comes, while the loop turns."""

    kind: ClassVar[str] = "engine.hang"


class Wait(Command[None]):
    """Runs until a file is there, and blocks nobody."""

    kind: ClassVar[str] = "file.wait"

    path: str


async def block(_: AsyncSession, command: Block) -> None:
    time.sleep(command.seconds)  # noqa: ASYNC251  # that is the fault


async def hang(_: AsyncSession, __: Hang) -> None:
    async def wait_for_ever(_: object) -> None:
        await asyncio.Event().wait()

    worker.Worker._gather = wait_for_ever  # type: ignore[method-assign, assignment]


async def wait(_: AsyncSession, command: Wait) -> None:
    await until(Path(command.path).exists)


app = App({**HANDLERS, Block: block, Hang: hang, Wait: wait})
