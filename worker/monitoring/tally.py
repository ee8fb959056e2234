"""What a worker process has done since it started: counted once, for metrics and statistics alike."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..failure import Failure

BOUNDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
"""Seconds up to which each bucket of a histogram counts; the last one counts all that took longer."""
UNKNOWN = "unknown"
"""The kind under which all kinds count that this process does not know: they are without number."""


@dataclass(slots=True)
class Histogram:
    """How many took how long: `counts` by the buckets that BOUNDS divides, `total` their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add(self, other: Histogram) -> None:
        """Count all that another one has counted."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def quantile(self, q: float) -> float | None:
        """Estimate the seconds within which a share `q` (0 to 1) of them ended; None where there are none.

        Within a bucket they count as evenly spread; beyond the last bound nothing is known but that bound.
        """
        rank, below = q * sum(self.counts), 0
        for index, count in enumerate(self.counts):
            if count and below + count >= rank:
                upper = BOUNDS[min(index, len(BOUNDS) - 1)]
                lower = BOUNDS[index - 1] if index else 0.0
                return lower + (upper - lower) * (rank - below) / count
            below += count
        return None


@dataclass(slots=True)
class OfKind:
    """What came of the commands of one kind: how many by ending, and how long they took, in seconds.

    They `waited` from when they were accepted, or due, until the run that ended them began, and `ran` from
    then on; `whole` is both together.
    """

    finished: dict[str, int] = field(default_factory=dict)
    waited: Histogram = field(default_factory=Histogram)
    ran: Histogram = field(default_factory=Histogram)
    whole: Histogram = field(default_factory=Histogram)

    def add(self, other: OfKind) -> None:
        """Count all that another one has counted."""
        for ending, count in [*other.finished.items()]:
            self.finished[ending] = self.finished.get(ending, 0) + count
        self.waited.add(other.waited)
        self.ran.add(other.ran)
        self.whole.add(other.whole)


class Tally:
    """Counts what a process does; the sums only grow. Another thread may read them meanwhile."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        self.kinds = {kind: OfKind() for kind in (UNKNOWN, *kinds)}
        self.failures: Counter[str] = Counter()
        """Attempts that failed, by the cause of it."""
        self.retries: Counter[str] = Counter()
        """Attempts that failed and are made again, by the SQLSTATE of the failure."""
        self.adopted = 0
        """Deliveries whose ending was there already."""
        self.recovered = 0
        """Deliveries after a lease that had run out: of a worker that was killed, or cut off."""

    def end(self, kind: str, ending: str, waited: float | None, ran: float) -> None:
        """Count a command that has ended; `waited` is None where nobody knows since when."""
        of = self.kinds.get(kind) or self.kinds[UNKNOWN]
        of.finished[ending] = of.finished.get(ending, 0) + 1
        of.ran.observe(ran)
        if waited is not None:
            of.waited.observe(waited)
            of.whole.observe(waited + ran)

    def failed(self, failure: Failure) -> Failure:
        """Count an attempt that failed."""
        self.failures[failure.cause.value] += 1
        return failure

    def retry(self, failure: Failure) -> None:
        """Count an attempt that is made again, if it was the database that failed it."""
        if failure.sqlstate:
            self.retries[failure.sqlstate] += 1

    def add(self, other: Tally) -> None:
        """Count all that another one has counted."""
        for kind, theirs in [*other.kinds.items()]:
            if theirs.finished:
                self.kinds.setdefault(kind, OfKind()).add(theirs)
        self.failures += other.failures.copy()
        self.retries += other.retries.copy()
        self.adopted += other.adopted
        self.recovered += other.recovered

    def dump(self) -> dict[str, Any]:
        """Return all of it as a JSON value, for `load`."""
        kinds = {kind: asdict(of) for kind, of in self.kinds.items() if of.finished}
        return {**vars(self), "kinds": kinds}

    @classmethod
    def load(cls, value: dict[str, Any]) -> Tally:
        """Read what `dump` returned."""
        tally = cls()
        tally.failures, tally.retries = Counter(value["failures"]), Counter(value["retries"])
        tally.adopted, tally.recovered = value["adopted"], value["recovered"]
        for kind, of in value["kinds"].items():
            finished = of.pop("finished")
            tally.kinds[kind] = OfKind(finished, **{name: Histogram(**one) for name, one in of.items()})
        return tally
