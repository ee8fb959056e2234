"""Jobs that were refused: nobody with a key has made them, or they are not what their name says.

They have no ending and no dead letter: else who can write to Redis could fill the database. The latest are
kept in Redis, all are counted, and each is logged once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .lanes import script
from .logs import log

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.wire import Keys

    from .received import Received

REASONS = {
    "unsigned": "it is not signed, or not as a producer writes it",
    "bad_signature": "its signature is of other bytes, of another queue, or of no key in QUEUE_SIGNING_KEYS",
    "bad_times": "when it is due, or too late, is not what its sender has signed",
    "wrong_job": "its envelope is of another command than its job's name",
}
"""Why a job may be refused."""
WITHOUT_KEY = ("unsigned", "bad_signature")
"""Of these a worker with another key may think otherwise: they are kept for it, as the unreadable are."""
_MOST = 1000
_LONGEST = 64 * 1024
"""Bytes that are kept of each: so all of them take 64 MiB of Redis at most, and a third more in Base64."""

_REFUSE = script("refuse")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A job as it was refused; `body` has its first 64 KiB, of `size` bytes."""

    job_id: str
    reason: str
    at: datetime
    size: int
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, raw: bytes) -> Refusal:
        """Read what is kept in Redis."""
        kept = json.loads(raw)
        at = datetime.fromtimestamp(kept.pop("at") / 1000, UTC)
        return cls(at=at, **kept | {"body": base64.b64decode(kept["body"])})

    def about(self) -> dict[str, Any]:
        """Say what it is about: no bytes of it, since they may hold anything."""
        told = asdict(self)
        del told["body"]
        return told | {"at": self.at.isoformat(timespec="seconds")}


class Refused:
    """The refused jobs of one queue."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._refuse = redis.register_script(_REFUSE.text)

    def reason(self, job_id: str, received: Received) -> str:
        """Say why a job is to be refused; "" where it is not."""
        if received.refused or received.envelope is None:
            return received.refused
        own = self._keys.job_id(received.envelope.id, received.envelope.generation)
        return "" if own == job_id else "wrong_job"

    async def refuse(self, job_id: str, body: bytes, reason: str) -> bool:
        """Take a job out of the queue, and keep it; False where it is another one by now.

        Nothing is said of it to anybody who waits for a command of that id.
        """
        name = job_id.encode(errors="backslashreplace").decode()
        kept = {"job_id": name, "reason": reason, "size": len(body)}
        kept["body"] = base64.b64encode(body[:_LONGEST]).decode()
        digest = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        about: list[str | int] = [job_id, digest, reason, json.dumps(kept), _MOST, *self._named(job_id)]
        was_there = bool(await self._refuse(keys=[self._keys.queue, self._keys.bell], args=about))
        if was_there:
            log.warning(
                "command.refused", job_id=name[:200], reason=reason, see="python -m worker refused list"
            )
        return was_there

    def _named(self, job_id: str) -> tuple[str, int]:
        """Read the command's id and its generation from a job's."""
        with suppress(ValueError):
            command_id, _, generation = job_id.removeprefix(f"{self._keys.queue}:").partition(":")
            named = UUID(command_id), int(generation or 0)
            if self._keys.job_id(*named) == job_id:
                return str(named[0]), named[1]
        return "", 0

    async def latest(self, most: int = _MOST) -> list[Refusal]:
        """Return those that are kept, the latest first."""
        reading: Any = self._redis.lrange(self._keys.refused, 0, most - 1)
        return [Refusal.read(raw) for raw in await reading]

    async def counts(self) -> dict[str, int]:
        """Count all that were ever refused, by reason."""
        reading: Any = self._redis.hgetall(self._keys.refusals)
        return counted(await reading)

    async def clear(self) -> int:
        """Forget all of them, but not how many there were; return how many were kept."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.llen(self._keys.refused)
            pipe.delete(self._keys.refused)
            kept, _ = await pipe.execute()
        return int(kept)


def counted(found: dict[bytes, bytes]) -> dict[str, int]:
    """Read how many were refused by each reason, as Redis has it under `Keys.refusals`."""
    return {reason.decode(): int(count) for reason, count in found.items()}


def refused_sentence(kept: int) -> str:
    """Say how many are kept, and what to do about it."""
    jobs = "1 job was" if kept == 1 else f"{kept:,} jobs were"
    return f"{jobs} refused: `python -m worker refused list` says why, `refused clear` forgets them"
