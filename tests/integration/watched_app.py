"""Commands that stop a worker in each way: `--app tests.integration.watched_app`. Its leases are short."""

import asyncio
import os
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


class Fork(Command[int]):
    """Forks a process that lives until a file is there; tells the pid of its worker."""

    kind: ClassVar[str] = "process.fork"

    path: str


async def block(_: AsyncSession, command: Block) -> None:
    time.sleep(command.seconds)  # noqa: ASYNC251  # that is the fault


async def hang(_: AsyncSession, __: Hang) -> None:
    async def wait_for_ever(_: object) -> None:
        await asyncio.Event().wait()

    worker.Worker._gather = wait_for_ever  # type: ignore[method-assign, assignment]


async def wait(_: AsyncSession, command: Wait) -> None:
    await until(Path(command.path).exists)


async def fork(_: AsyncSession, command: Fork) -> int:
    if os.fork() == 0:
        _stay(Path(command.path))
        os._exit(0)
    return os.getpid()


def _stay(path: Path) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends and not path.exists():
        time.sleep(0.05)


app = App({**HANDLERS, Block: block, Hang: hang, Wait: wait, Fork: fork})
