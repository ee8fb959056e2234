"""The worker processes of a queue and what they hold, as Redis knows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..health import workers

if TYPE_CHECKING:
    from .board import Board

MOST = 200
"""Leases that are shown: those that end first."""


class Member(NamedTuple):
    """A worker process: what it told of itself `age` seconds ago."""

    host: str
    pid: str
    told: dict[str, Any]
    age: float

    @property
    def since(self) -> datetime:
        """When it started, by its own clock."""
        return datetime.fromtimestamp(self.told.get("started_at", 0), UTC)


class Lease(NamedTuple):
    """A command that a process has in hand, for `left` seconds unless it renews it; below 0 it is overdue."""

    command_id: str
    owner: str
    runs: int
    left: float


class Fleet(NamedTuple):
    """All of them; `held` counts the leases, of which some are listed."""

    members: list[Member]
    leases: list[Lease]
    held: int


async def read_fleet(board: Board) -> Fleet:
    """Read who is there, and the leases that end first."""
    redis, keys = board.redis, board.keys
    leases_key = f"arq:leases:{keys.queue}"
    async with redis.pipeline(transaction=True) as pipe:
        pipe.time()
        pipe.zrange(keys.workers, 0, -1, withscores=True)
        pipe.zcard(leases_key)
        pipe.zrange(leases_key, 0, MOST - 1, withscores=True)
        (seconds, micros), seen, held, ends = await pipe.execute()
    now = seconds + micros / 1e6
    last = {name.decode(): at for name, at in seen}
    members = [_member(told, now - last.get(told["name"], now)) for told in await workers(redis, keys)]
    async with redis.pipeline(transaction=False) as pipe:
        for job_id, _ in ends:
            pipe.hmget(f"arq:engine:{job_id.decode()}", ["owner", "tries"])
        known = await pipe.execute() if ends else []
    leases = [
        _lease(keys.queue, job_id.decode(), at / 1000 - now, *told)
        for (job_id, at), told in zip(ends, known, strict=True)
    ]
    return Fleet(members, leases, held)


def _member(told: dict[str, Any], age: float) -> Member:
    host, _, pid = told["name"].rpartition(":")
    return Member(host, pid, told, max(0.0, age))


def _lease(queue: str, job_id: str, left: float, owner: bytes | None, tries: bytes | None) -> Lease:
    command_id = job_id.removeprefix(f"{queue}:").partition(":")[0]
    return Lease(command_id, (owner or b"").decode().partition(":")[0][:8], int(tries or 0), left)
