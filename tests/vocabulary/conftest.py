"""A database of the test's own, and commands that are carried out in it by the real executor."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

import pytest

from producers import Command
from worker.app import App
from worker.handlers import HANDLERS
from worker.models.migrations import EXAMPLE
from worker.settings import WorkerOptions
from worker.testing import execute

R = TypeVar("R")


class Run(Protocol):
    """Carries a command out in a transaction of its own and returns its result, or raises its error."""

    async def __call__(self, command: Command[R], /) -> R: ...


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """The example's App on that database."""
    app = App(HANDLERS, settings=WorkerOptions(database_url=database_url), migrations=[EXAMPLE])
    yield app
    await app.close()


@pytest.fixture
def run(app: App) -> Run:
    """Carries commands out."""

    async def run(command: Command[R], /) -> R:
        return await execute(app, command)

    return run
