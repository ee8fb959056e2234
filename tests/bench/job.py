"""The job that every peer does: validate, open a session, insert one user, commit; or only count."""

from __future__ import annotations

import mmap
import os
import threading
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from uuid_utils.compat import uuid7

from producers.commands import CreateUser
from worker.models import User

Job = Literal["insert", "noop"]
SLOTS = 20
_FIELDS = ("id", "username", "email", "name", "age")
_LOCK = threading.Lock()
CORE = os.environ.get("BENCH_INSERT") == "core"


def payloads(number: int, first: int = 0) -> list[dict[str, Any]]:
    """Make payloads as JSON values, each of another user."""
    return [
        {
            "id": str(uuid7()),
            "username": f"user-{n:07}",
            "email": f"user-{n:07}@example.com",
            "name": f"Somebody Number {n}",
            "age": n % 100,
        }
        for n in range(first, first + number)
    ]


async def insert_user(payload: dict[str, Any]) -> str:
    """Insert one user in an asynchronous session of its own."""
    command = CreateUser.model_validate(payload)
    async with _sessions()() as session:
        if CORE:
            await session.execute(insert(User), values(command))
        else:
            session.add(User(**values(command)))
        await session.commit()
    return str(command.id)


def noop() -> None:
    """Count, and do nothing else."""
    with _LOCK:
        _counter().add()


def counted(where: Path) -> int:
    """Return how many no-ops all worker processes have done."""
    return sum(int.from_bytes(path.read_bytes(), "little") for path in where.glob("*.count"))


class Counter:
    """A number in a file that is mapped into memory: to count costs no system call."""

    def __init__(self, where: Path) -> None:
        path = where / f"{os.getpid()}.count"
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self._numbers = count(1)

    def add(self) -> None:
        """Count one."""
        self._memory[:] = next(self._numbers).to_bytes(8, "little")


# Both are made when they are first needed: after the process was forked, if it is.


@cache
def _sessions() -> async_sessionmaker[AsyncSession]:
    engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=SLOTS, max_overflow=0)
    return async_sessionmaker(engine, expire_on_commit=False)


@cache
def _counter() -> Counter:
    return Counter(Path(os.environ["BENCH_FOLDER"]))


def values(command: CreateUser) -> dict[str, Any]:
    """Name a new row's values by column."""
    return {name: getattr(command, name) for name in _FIELDS}
