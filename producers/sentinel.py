"""Redis behind Sentinel: which server is the master is asked anew for each connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import redis.sentinel
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ReadOnlyError, RedisError

_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
EXAMPLE = "redis+sentinel://user:password@host:26379,host2:26379/mymaster/0"
_PORT = 26379
_OWN = {"sentinel_username": "username", "sentinel_password": "password"}
_Base: Any = object  # the class of connections that the URL asks for comes after it


def is_by_sentinel(url: str) -> bool:
    """Whether a URL names sentinels, and not the Redis itself."""
    return url.startswith(_SCHEMES)


class Sentinels:
    """The sentinels that a URL names, and the name by which they know the master.

    User, password and TLS of the URL are for the master; `sentinel_username` and `sentinel_password`, after
    its question mark, are for the sentinels. Raises ValueError, without the URL in it.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        scheme, _, rest = url.partition("+sentinel://")
        there, *path = re.split("(?=[/?#])", rest, maxsplit=1)
        userinfo, at, hosts = there.rpartition("@")
        parts = urlsplit("".join(path))  # many a Python makes an error of several hosts with [::1] among them
        self.addresses = [*_addresses(hosts)]
        self.master, _, database = parts.path.strip("/").partition("/")
        if not self.master or (database and not database.isdigit()):
            raise ValueError(f"must name the master, and may a database number, as in {EXAMPLE}")
        query = parse_qsl(parts.query)
        theirs = urlencode([(name, value) for name, value in query if name not in _OWN])
        self.url = urlunsplit((scheme, f"{userinfo}{at}localhost", f"/{database or 0}", theirs, ""))
        own = {_OWN[name]: value for name, value in query if name in _OWN}
        limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        self._options: dict[str, Any] = {**own, **limits, "ssl": scheme == "rediss"}
        if self._options["ssl"]:
            given = {name: value for name, value in query if name.startswith("ssl_")}
            checks = str(given.pop("ssl_check_hostname", "true")).lower() not in {"false", "no", "0"}
            self._options |= {"ssl_check_hostname": checks, **given}

    async def find(self) -> tuple[str, int]:
        """Ask one after the other; who does not know is asked last from now on. Raise ConnectionError."""
        for address in [*self.addresses]:
            host, port = address
            try:
                sentinel: Any
                async with Redis(host=host, port=port, decode_responses=True, **self._options) as sentinel:
                    found = await sentinel.sentinel_get_master_addr_by_name(self.master)
            except (RedisError, OSError):
                found = None
            if found is not None:
                return found[0], int(found[1])
            self.doubt(address)
        raise Lost(f"no sentinel knows a master called {self.master!r}")

    def doubt(self, address: tuple[str, int] | None = None) -> None:
        """Have a sentinel, or the one that is asked first, be asked last."""
        doubted = address or self.addresses[0]
        self.addresses.sort(key=lambda one: one == doubted)

    def blocking(self, options: dict[str, Any]) -> redis.Redis:
        """Make a client for a thread, of the options of a connection."""
        kind = redis.sentinel.SentinelConnectionPool
        asked: Any = redis.sentinel.Sentinel(self.addresses, sentinel_kwargs=self._options)  # type: ignore[no-untyped-call]
        options = {
            name: value for name, value in options.items() if name not in {"host", "port", "sentinels"}
        }
        made: redis.Redis = asked.master_for(
            self.master, connection_pool_class=kind, ssl=self._options["ssl"], **options
        )
        return made


class Led(_Base):  # type: ignore[misc]
    """A connection to whichever server is the master by now; where it is that no more, it is at an end."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinels.find()
        await super()._connect()

    async def on_connect(self) -> None:
        """Ask the server itself: a sentinel may not have heard yet of another master."""
        await super().on_connect()
        await self.send_command("ROLE", check_health=False)
        role, *_ = await self.read_response()
        if role not in {b"master", "master"}:
            self._sentinels.doubt()
            raise Lost(f"{self.host}:{self.port} is not the master")

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read one; a server that takes no writes any more is left."""
        try:
            return await super().read_response(*arguments, **options)
        except ReadOnlyError as error:
            await self.disconnect(nowait=True)
            raise Lost("another server is the master now") from error


def _addresses(hosts: str) -> Iterator[tuple[str, int]]:
    for address in hosts.split(","):
        try:
            parts = urlsplit(f"//{address}")
            port = parts.port or _PORT
        except ValueError:
            raise ValueError(f"must have hosts with ports, as in {EXAMPLE}") from None
        if not parts.hostname:
            raise ValueError(f"must name a sentinel, as in {EXAMPLE}")
        yield parts.hostname, port
