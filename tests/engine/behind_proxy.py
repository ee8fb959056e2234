"""A proxy before a Redis, and its URL there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.proxy import Proxy


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Give a proxy, and the URL of the Redis behind it."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[:2]
    async with Proxy(parts.hostname or "localhost", parts.port or 6379) as proxy:
        netloc = "".join((*login, f"{proxy.host}:{proxy.port}"))
        yield proxy, parts._replace(netloc=netloc).geturl()
