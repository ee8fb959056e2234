"""The counters as a service of its own, for worker processes: `--app tests.guarantees.counters_app`."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from tests.guarantees.counters import Bump, bump
from worker.app import App

PATH = "tests.guarantees.counters_app"


async def toil(session: AsyncSession, command: Bump) -> int:
    """Bump, and take long enough to be killed in the middle of it."""
    n = await bump(session, command)
    await asyncio.sleep(0.01)
    return n


app = App({Bump: toil})


def __getattr__(name: str) -> type:
    if name == "WorkerSettings":
        return app.worker_settings
    raise AttributeError(name)
