"""A proxy between a queue's clients and its Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from producers.settings import QueueSettings
from tests.proxy import Proxy


@asynccontextmanager
async def proxied(queue: QueueSettings) -> AsyncIterator[tuple[Proxy, QueueSettings]]:
    """Give a proxy, and the queue as it is found behind it."""
    parts = urlsplit(queue.redis_url)
    login = parts.netloc.rpartition("@")[:2]
    async with Proxy(parts.hostname or "localhost", parts.port or 6379) as proxy:
        netloc = "".join((*login, f"{proxy.host}:{proxy.port}"))
        yield proxy, queue.model_copy(update={"redis_url": parts._replace(netloc=netloc).geturl()})
