"""What the engine says to Redis: each step a script, and all that is to be said now in one round trip."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from arq.constants import abort_jobs_ss
from hiredis import pack_command
from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.retry import Retry

from .job import Claim, Settlement, logger
from .limit import Limit

if TYPE_CHECKING:
    from arq.connections import ArqRedis

_TIMEOUT = 5.0
_PASSING = (BusyLoadingError, ReadOnlyError, OutOfMemoryError)
_SYNC = {  # an SSLConnection is a Connection as well
    SSLConnection: redis.SSLConnection,
    UnixDomainSocketConnection: redis.UnixDomainSocketConnection,
    Connection: redis.Connection,
}


class Script:
    """A Lua script, known to Redis by the hash of its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def beside(cls, module: str, name: str) -> Script:
        """Read `name`.lua from the folder of a module's `__file__`."""
        return cls(Path(module).with_name(f"{name}.lua").read_text())


Saying = tuple[Script, Sequence[Any], Sequence[Any]]
Say = Callable[[Script, Sequence[str], Sequence[Any]], None]
"""Adds a script with its keys and arguments to what is said in the next round trip."""

CLAIM, _SETTLE, _RENEW = (Script.beside(__file__, name) for name in ("claim", "settle", "renew"))


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in the queue; `due_in` is seconds until the next job is due, None without one."""

    claims: list[Claim]
    due_in: float | None
    queued: int


class Broker:
    """The queue, as one worker process sees it; connections are its own, made as those of `pool` are.

    They time out, and nothing is repeated behind the engine's back. With Sentinel it uses the pool itself.
    """

    def __init__(self, pool: ArqRedis, queue: str, *, lease: float, aborts: bool) -> None:
        self.queue, self.bell, self.lease, self._aborts = queue, f"arq:bell:{queue}", lease, aborts
        self._leases = f"arq:leases:{queue}"
        self._given, kind = pool, pool.connection_pool.connection_class
        alike = redis.asyncio.ConnectionPool(kind, **_options(pool, AsyncRetry(NoBackoff(), 0)))
        self._redis = pool if issubclass(kind, SentinelManagedConnection) else Redis(connection_pool=alike)
        self._owner, self._claimed, self._in_doubt = os.urandom(8).hex(), 0, False
        self._connection: AbstractConnection | None = None
        self._loaded: set[str] = set()
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not self._given:
            await self._redis.aclose(close_connection_pool=True)

    async def exchange(
        self, ended: Sequence[Settlement], most: int, also: Callable[[Say], None] | None = None
    ) -> Look | None:
        """Settle what has ended and claim at most `most` jobs, in one round trip.

        `also` may say more, before the settling. Returns None where nothing was to be claimed. Raises
        RedisError or OSError; then all of it may be said again.
        """
        said: list[Saying] = []
        if also is not None and ended:
            also(lambda script, keys, arguments: said.append((script, keys, arguments)))
        keys = [self.queue, abort_jobs_ss, self.bell, self._leases]
        if ended:
            said.append((_SETTLE, keys, [word for one in ended for word in one.arguments()]))
        token, before = f"{self._owner}:{self._claimed}", time.monotonic()
        if most:
            said.append(self.claiming(keys, most, token))
            self._in_doubt = True  # until the reply is here
        replies = await self._say(said)
        if not most:
            return None
        self._claimed, self._in_doubt = self._claimed + 1, False  # what one claim left behind is no other's
        return self.look(replies[-1], token, before)

    def claiming(self, keys: Sequence[str], most: int, token: str) -> Saying:
        """Say how to claim; what Redis replies is for `look`."""
        doubt = "1" if self._in_doubt else ""
        return CLAIM, keys, [most, round(self.lease * 1000), token, "1" if self._aborts else "", doubt]

    def look(self, reply: Any, token: str, before: float) -> Look:
        """Read what was found: a claim was made with this token, at a time by the monotonic clock."""
        now, due, queued, *claims = reply
        made = [
            Claim(raw_id, token, float(score), tries, silent, bool(aborted), body, before)
            for raw_id, score, tries, silent, aborted, body in claims
        ]
        return Look(made, None if int(due) < 0 else max(0.0, (int(due) - now) / 1000), queued)

    async def hear(self) -> bool:
        """Wait a while for a hint that there is work; say whether there was one."""
        given: float = self._redis.connection_pool.connection_kwargs.get("socket_timeout") or _TIMEOUT
        return bool(await self._redis.blpop([self.bell], timeout=min(1.0, given / 2)))  # type: ignore[misc, arg-type]

    async def pass_on(self) -> None:
        """Give a hint to another worker."""
        await self._redis.lpush(self.bell, "1")  # type: ignore[misc]

    def keeper(self, patience: float) -> redis.Redis | None:
        """Make a client for the thread that renews; None where it has to go through the event loop."""
        given = self._given.connection_pool.connection_class
        kind = next((sync for made, sync in _SYNC.items() if issubclass(given, made)), None)
        if kind is None or issubclass(given, SentinelManagedConnection):
            return None
        limits = {"socket_timeout": patience, "socket_connect_timeout": patience}
        options = _options(self._given, Retry(NoBackoff(), 0)) | limits
        return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **options))

    def renew(self, client: redis.Redis | None, claims: Sequence[Claim], patience: float) -> list[Claim]:
        """Renew leases, from a thread; return those that are lost."""
        words = [word for claim in claims for word in (claim.raw_id, claim.token)]
        before = time.monotonic()
        arguments: list[Any] = [self.queue, self._leases, round(self.lease * 1000), *words]
        if client is None:
            calling: Any = self._given.eval(_RENEW.text, 2, *arguments)
            held = asyncio.run_coroutine_threadsafe(calling, self._loop).result(patience)
        else:
            held = client.eval(_RENEW.text, 2, *arguments)
        for claim, is_held in zip(claims, held, strict=True):
            if is_held:
                claim.renewed = before
        return [claim for claim, is_held in zip(claims, held, strict=True) if not is_held]

    async def _say(self, said: Sequence[Saying]) -> list[Any]:
        """Run scripts in one round trip, in their order; those that Redis may not know it is given before."""
        await self._load(script for script, _, _ in said if script.sha not in self._loaded)
        replies = await self._run(said)
        unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # all of them, as a rule: another Redis, or one that was told to forget
            await self._load(said[place][0] for place in unknown)
            again = await self._run([said[place] for place in unknown])
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
        *others, last = replies
        if isinstance(last, Exception):
            raise last
        for problem in others:
            if isinstance(problem, _PASSING) or str(problem).startswith(("BUSY", "MISCONF", "NOREPLICAS")):
                raise problem  # all of it is said again
            if isinstance(problem, Exception):  # it will not be otherwise; what was said after it was heard
                logger.error("Redis refuses: %s", problem)
        return replies

    async def _load(self, scripts: Iterable[Script]) -> None:
        for script in {script.sha: script for script in scripts}.values():
            await self._redis.script_load(script.text)
            self._loaded.add(script.sha)

    async def _run(self, said: Sequence[Saying]) -> list[Any]:
        """Say it on a connection of its own, under one limit: redis-py's pipeline costs more."""
        words = [("EVALSHA", script.sha, len(keys), *keys, *arguments) for script, keys, arguments in said]
        pool = self._redis.connection_pool
        connection, self._connection = self._connection or await pool.get_connection(), None
        limit = connection.socket_timeout
        try:
            with Limit(limit or _TIMEOUT):
                connection.socket_timeout = None
                await connection.send_packed_command(b"".join(map(pack_command, words)), check_health=False)
                replies = [await _reply(connection) for _ in said]
            self._connection = connection
        finally:
            connection.socket_timeout = limit
            if self._connection is None:
                await connection.disconnect(nowait=True)
                await pool.release(connection)
        return replies


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _options(pool: ArqRedis, retry: Any) -> dict[str, Any]:
    given = dict(pool.connection_pool.connection_kwargs)
    ours = {"retry": retry, "retry_on_error": [], "retry_on_timeout": False, "decode_responses": False}
    if not issubclass(pool.connection_pool.connection_class, UnixDomainSocketConnection):
        ours["socket_keepalive"] = True
    for name in ("socket_timeout", "socket_connect_timeout"):
        given[name] = given.get(name) or _TIMEOUT
    return {**given, **ours}
