"""What Redis is told of commands that have ended: their answers, and that they leave their lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import UUID

from producers.commands import Registry
from producers.wire import Answer, Ending, Keys

from .delivery import Delivery
from .lanes import script

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producers.settings import QueueSettings

DEPOSIT = script("deposit")


@dataclass(slots=True)
class Answered:
    """A job whose command has ended: the ending is committed, and its producer is to be told."""

    job_id: str
    delivery: Delivery
    answer: Answer

    def told(self, registry: Registry) -> Told:
        """Say what Redis is told of it."""
        delivery, answer = self.delivery, self.answer
        is_dead = answer.ending is Ending.DEAD
        then: Then = "parks" if is_dead and parks_when_dead(registry, delivery.kind) else ""
        ended = delivery.command_id, delivery.generation, self.job_id
        return Told(*ended, answer.encode(), then, delivery.lanes)


Then = Literal["", "parks", "leaves"]
"""What becomes of the place of a command that has ended: by default it leaves the lanes that are named."""


class Told(NamedTuple):
    """What Redis is told of a command that has ended; `answer` is JSON, or "" where none is known.

    Without `lanes` it "parks" in, or "leaves", those that Redis knows of. A person let it go at
    `released_at`: what waited for it counts as accepted then.
    """

    command_id: UUID
    generation: int
    job_id: str
    answer: str
    then: Then
    lanes: Sequence[str] = ()
    released_at: datetime | None = None


def parks_when_dead(registry: Registry, kind: str) -> bool:
    """Whether what stands behind a command waits once it is dead; a read leaves no letter to mend."""
    command = registry.get(kind)
    return command is None or (command.parks and not command.read_only)


class Deposits:
    """Leaves answers in one queue where their producers wait."""

    def __init__(self, redis: Redis, queue: QueueSettings) -> None:
        self._queue, self.keys = queue, Keys(queue.name)
        self._deposit = redis.register_script(DEPOSIT.text)

    async def tell(self, ended: Sequence[Told]) -> None:
        """Tell Redis of commands that have ended, unless they have been replayed since."""
        keys, arguments = self.words(ended, ring=True)
        await self._deposit(keys=keys, args=arguments)

    def words(self, ended: Sequence[Told], *, ring: bool) -> tuple[list[str], list[str | int]]:
        """Return the keys and arguments of the script that tells it.

        `ring` says whether workers hear of what may run now that these have left their lanes.
        """
        lives = [round(ttl * 1000) for ttl in (self._queue.result_ttl, self._queue.mark_ttl)]
        arguments: list[str | int] = [*lives, int(ring)]
        for command_id, generation, job_id, answer, then, lanes, at in ended:
            released = "" if at is None else round(at.timestamp() * 1000)
            arguments += [str(command_id), generation, job_id, answer, then, released, len(lanes), *lanes]
        return [self.keys.queue, self.keys.bell], arguments
