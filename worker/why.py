"""What stands before a row: the commands in its lane, and what each of them waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from producers.lanes import stands_before
from producers.wire import Keys, command_uuid

from .body import Body
from .dead_letters import read_letter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from redis.asyncio import Redis
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from .app import App

_DEEPEST = 20


@dataclass
class Place:
    """A command in a lane.

    `state` is "running", "due", "later" (`seconds` until it is tried), "waiting", "dead" (for `seconds`: it
    keeps its lanes) or "gone" (its job is no more; the sweep will find out). `runs` counts those begun.
    `before` holds what it waits for in other lanes, `lane` the one in which that stands.
    """

    command_id: str
    lane: str
    state: str
    kind: str = ""
    seconds: float = 0.0
    runs: int = 0
    told: str = ""
    before: list[Place] = field(default_factory=list)


class Why:
    """Looks at lanes from outside; `session` is for what is known of the dead."""

    def __init__(self, app: App, redis: Redis, session: AsyncSession) -> None:
        self._app, self._redis, self._session = app, redis, session
        self._keys = Keys(app.queue.name)
        self._seen: set[UUID] = set()

    async def lane(self, name: str, most: int) -> tuple[int, list[Place]]:
        """Say how many stand in a lane, and tell of the first of them."""
        at = self._keys.lane(name)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.llen(at)
            pipe.lrange(at, 0, most - 1)
            length, ids = await pipe.execute()
        return length, [await self._place(raw.decode(), name, 0) for raw in ids]

    async def place(self, command_id: UUID) -> Place:
        """Tell of one command, wherever it stands; its state is "gone" where Redis has no job of it."""
        return await self._place(str(command_id), "", 0)

    async def _place(self, command_id: str, lane: str, depth: int) -> Place:
        keys = self._keys
        reading: Any = self._redis.hget(keys.mark(command_id), "generation")
        job_id = keys.job_id(command_uuid(command_id), int(await reading or 0))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.zscore(keys.parked, command_id)
            pipe.exists(keys.stand(command_id))
            pipe.exists(f"arq:in-progress:{job_id}")
            pipe.zscore(keys.queue, job_id)
            pipe.hget(f"arq:engine:{job_id}", "tries")
            pipe.get(f"arq:job:{job_id}")
            (seconds, micros), parked, stands, runs_now, due, tries, body = await pipe.execute()
        now = seconds + micros / 1e6
        place = Place(command_id, lane, "gone", Body.known(body).kind, runs=int(tries or 0))
        if parked is not None:
            letter = await self._letter(command_id)
            place.state, place.seconds = "dead", now - parked / 1000
            place.kind, place.told = (letter.kind, f"{letter.code}: {letter.message}") if letter else ("", "")
        elif runs_now:
            place.state = "running"
        elif stands:
            place.state = "waiting"
            place.before = await self._before(command_id, lane, depth)
        elif due is not None:
            place.seconds = max(0.0, due / 1000 - now)
            place.state = "later" if place.seconds else "due"
        return place

    async def _before(self, command_id: str, lane: str, depth: int) -> list[Place]:
        """Tell of what it waits for elsewhere; each command once, or a large lane would fill the page."""
        places = []
        for before, other in await stands_before(self._redis, self._keys, command_id):
            if other != lane and before not in self._seen and depth < _DEEPEST:
                self._seen.add(before)
                places.append(await self._place(str(before), other, depth + 1))
        return places

    async def _letter(self, command_id: str) -> Row[Any] | None:
        return await read_letter(self._session, self._app.tables, command_uuid(command_id))


def lines(places: Sequence[Place], indent: int = 0) -> list[str]:
    """Write places for a person."""
    written = []
    for number, place in enumerate(places, 1):
        told = f"{number}  " if not indent else f"{' ' * 3 * indent}behind "
        written.append(f"{told}{place.command_id}  {place.kind or '?':<20} {_state(place)}")
        written += lines(place.before, indent + 1)
    return written


def _state(place: Place) -> str:
    match place.state:
        case "dead":
            return f"dead for {place.seconds:.0f} s ({place.told}); mend it: python -m worker dead show"
        case "later":
            what = f"is tried again, after {place.runs} runs," if place.runs else "is due"
            return f"{what} in {place.seconds:.1f} s"
        case "running":
            return f"is running, for the {place.runs}. time"
        case "waiting":
            return "waits"
        case "due":
            return "may run, and waits for a worker"
        case _:
            return "its job is gone; a worker will look how it ended"
