"""A logical database of a Redis that somebody gave us, which the tests may flush."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis

QUEUE_PREFIX = "test-"


@contextmanager
def claim(url: str, process: int) -> Iterator[str]:
    """Take the database `process + 1` past the one `url` names, unless somebody keeps something there.

    What an earlier run left behind, the keys of queues named `test-...`, is nobody's.
    """
    parts = urlsplit(url)
    number = int(parts.path.strip("/") or 0) + 1 + process
    mine = parts._replace(path=f"/{number}").geturl()
    with redis.Redis.from_url(mine) as client:
        foreign = next(
            (key for key in client.scan_iter(count=1000) if QUEUE_PREFIX.encode() not in key), None
        )
        if foreign is not None:
            raise RuntimeError(
                f"REDIS_URL: database {number} is in use ({foreign!r}), and tests flush theirs"
            )
        yield mine
        client.flushdb()
