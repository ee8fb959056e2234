"""What all workers of a queue finished in the last two hours: a hash in Redis for each ten seconds.

Its fields are `finished:{ending}:{kind}`, and for the histograms `waited:{bucket}` and `ran:{bucket}`, with
the sum of their seconds in `waited:s` and `ran:s`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from producers.wire import Ending

from .tally import Histogram, Tally

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

    from producers.wire import Keys

    from ..clock import Clock

WIDTH = 10
"""Seconds that one hash is about."""
KEPT = 2 * 3600
"""Seconds that it is kept."""
_SUM = "s"

Fields = dict[str, float]


@dataclass(slots=True)
class Bucket:
    """What was finished from `at` (seconds since 1970) on: how many by (kind, ending), and how long it took.

    It counts a command a few seconds after its ending, with the next sign of life of its worker.
    """

    at: float
    finished: dict[tuple[str, str], int] = field(default_factory=dict)
    waited: Histogram = field(default_factory=Histogram)
    ran: Histogram = field(default_factory=Histogram)

    def add(self, fields: Fields) -> None:
        """Count what a hash says."""
        for name, value in fields.items():
            what, _, rest = name.partition(":")
            if what == "finished":
                ending, _, kind = rest.partition(":")
                self.finished[kind, ending] = self.finished.get((kind, ending), 0) + round(value)
                continue
            histogram = self.waited if what == "waited" else self.ran
            if rest == _SUM:
                histogram.total += value
            else:
                histogram.counts[int(rest)] += round(value)


class Statistics:
    """Adds what one process has finished to what all have."""

    def __init__(self, tally: Tally, keys: Keys, clock: Clock) -> None:
        self._tally, self._keys, self._clock = tally, keys, clock
        self._said: Fields = {}

    def say(self, pipe: Pipeline) -> Fields:
        """Add to a pipeline what was finished since the last time; return what `said` is to hear after it."""
        fields = _fields(self._tally)
        key = self._keys.statistics(int(self._clock.now().timestamp() // WIDTH) * WIDTH)
        for name, value in fields.items():
            more = value - self._said.get(name, 0)
            if isinstance(more, int) and more:
                pipe.hincrby(key, name, more)
            elif more:
                pipe.hincrbyfloat(key, name, more)
        pipe.expire(key, KEPT)
        return fields

    def said(self, fields: Fields) -> None:
        """Hear that Redis knows it."""
        self._said = fields


async def count(redis: Redis, keys: Keys, kind: str, ending: Ending) -> None:
    """Count a command that has ended without a worker, as by a person."""
    at = (await redis.time())[0] // WIDTH * WIDTH
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hincrby(keys.statistics(at), f"finished:{ending}:{kind}", 1)
        pipe.expire(keys.statistics(at), KEPT)
        await pipe.execute()


async def series(redis: Redis, keys: Keys, *, seconds: int, step: int) -> list[Bucket]:
    """Read the last `seconds`, at most two hours, as one bucket for each `step`, the oldest first.

    A step is some tens of seconds. The first bucket begins before; the last one grows. Times are Redis's.
    """
    if step < WIDTH or step % WIDTH:
        message = f"step is a multiple of {WIDTH} seconds, not {step}"
        raise ValueError(message)
    now = (await redis.time())[0]
    first = (now - min(seconds, KEPT)) // step * step
    buckets = {at: Bucket(at) for at in range(first, now + 1, step)}
    for at, fields in await _read(redis, keys, range(first, now + 1, WIDTH)):
        buckets[at // step * step].add(fields)
    return [*buckets.values()]


async def endings(redis: Redis, keys: Keys, *, seconds: int) -> dict[str, int]:
    """Count the commands that ended within the last `seconds`, by ending; reads leave none."""
    now = (await redis.time())[0]
    whole = Bucket(now)
    first = (now - min(seconds, KEPT)) // WIDTH * WIDTH + WIDTH
    for _, fields in await _read(redis, keys, range(first, now + 1, WIDTH)):
        whole.add(fields)
    counts: dict[str, int] = {}
    for (_, ending), count in whole.finished.items():
        counts[ending] = counts.get(ending, 0) + count
    counts.pop(Ending.ANSWERED, None)
    return counts


async def _read(redis: Redis, keys: Keys, times: Sequence[int]) -> list[tuple[int, Fields]]:
    async with redis.pipeline(transaction=False) as pipe:
        for at in times:
            pipe.hgetall(keys.statistics(at))
        hashes: list[dict[Any, Any]] = await pipe.execute()
    return [
        (at, {name.decode(): float(value) for name, value in found.items()})
        for at, found in zip(times, hashes, strict=True)
    ]


def _fields(tally: Tally) -> Fields:
    """Return all that was counted so far, as the fields of a hash."""
    waited, ran, fields = Histogram(), Histogram(), Fields()
    for kind, of in tally.kinds.items():
        fields |= {f"finished:{ending}:{kind}": count for ending, count in of.finished.items()}
        if of.finished:
            waited.add(of.waited)
            ran.add(of.ran)
    for name, histogram in (("waited", waited), ("ran", ran)):
        fields |= {f"{name}:{bucket}": count for bucket, count in enumerate(histogram.counts) if count}
        fields[f"{name}:{_SUM}"] = histogram.total
    return fields
