"""A service of one command that leaves a trace: `--app tests.chaos.app`."""

import asyncio
import os
import time
from typing import ClassVar

from redis.asyncio import Redis
from sqlalchemy import Column, Float, Integer, MetaData, Table, insert
from sqlalchemy.ext.asyncio import AsyncSession

from producers import Command
from worker.app import App

PATH = "tests.chaos.app"
TRACE = "chaos:runs"
MARKS = Table("marks", MetaData(), Column("number", Integer, index=True), Column("at", Float))
"""No key: what is applied twice is there twice."""


class Mark(Command[int]):
    """Leave one row."""

    kind: ClassVar[str] = "chaos.mark"

    number: int


async def mark(session: AsyncSession, command: Mark) -> int:
    """Say in Redis who begins when; take long enough to be killed in the middle of it."""
    await _trace.rpush(TRACE, f"{command.number} {os.getpid()} {time.time()}")
    await session.execute(insert(MARKS).values(number=command.number, at=time.time()))
    await asyncio.sleep(0.02)
    return command.number


_trace = Redis.from_url(os.environ.get("TRACE_URL", "redis://localhost:6379/0"))
app = App({Mark: mark})
