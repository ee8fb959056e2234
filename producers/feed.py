"""Hearing of what was changed: the stream that workers write where WORKER_FEED is set.

    async for change in changes(producer):
        print(change.kind, change.entity, change.key)

Each comes at least once, those of one row in the order of their commits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from .client import Producer

_BLOCK = 1.0
"""Seconds that Redis is waited for at a time, or less where its answers have less time."""
_COUNT = 100


class Change(NamedTuple):
    """One row that a command has changed, after its COMMIT.

    `key` is "" where the command does not tell, as by a condition; `version` is None where its result has
    none. `position` grows with each change of a row: one that is not above the last of its row came twice.
    `id` is its place in the stream, to go on after.
    """

    id: str
    position: int
    command_id: UUID
    kind: str
    entity: str
    key: str
    version: int | None


async def changes(producer: Producer, after: str = "$") -> AsyncIterator[Change]:
    """Give the changes after the one of this `id`: by default those to come, with "0" all that are kept.

    Those of one row come in the order of their commits, each at least once. Raises redis-py's errors where
    Redis is away: go on after the last `id`.
    """
    redis, stream = producer.redis, producer.keys.feed
    block = round(min(_BLOCK, producer.settings.redis_timeout / 2) * 1000)
    if after == "$":  # while nothing comes, each look would begin anew
        newest: Any = await redis.xrevrange(stream, count=1)
        after = newest[0][0].decode() if newest else "0"
    while True:
        found: Any = await redis.xread({stream: after}, count=_COUNT, block=block)
        for _, events in found or ():
            for event_id, fields in events:
                after = event_id.decode()
                yield _change(after, fields)


def _change(event_id: str, fields: dict[bytes, bytes]) -> Change:
    said = {name.decode(): value.decode() for name, value in fields.items()}
    version = int(said["version"]) if said["version"] else None
    about = said["kind"], said["entity"], said["key"], version
    return Change(event_id, int(said["position"]), UUID(said["command_id"]), *about)
