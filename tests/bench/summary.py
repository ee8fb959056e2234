"""From the rounds to medians, spreads and ratios; ratios are of figures of one round."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from .backlog import name as behind
from .contender import FEW, FEW_TWICE
from .hot import ALONE as HOT_ALONE
from .hot import FIGURE as HOT
from .watched import ALONE as UNWATCHED
from .watched import FIGURE as WATCHED

RATES = (
    "insert, one process",
    "insert, two processes",
    FEW,
    FEW_TWICE,
    "no-op, one process",
    "enqueue one by one",
    "enqueue in bulk",
)
OURS, TUNED, PLAIN = "ours", "arq_tuned", "arq"
_NOT_PEERS = {OURS, "asyncpg", "session", "executor", "executor_latency"}
INSERT, NOOP = RATES[0], RATES[4]

Rounds = list[dict[str, dict[str, Any]]]
"""Of each round: contender, figure, what was measured."""


@dataclass(frozen=True)
class Spread:
    """A median, and the least and the most."""

    median: float
    least: float
    most: float
    number: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """Sum values up, if there are any."""
        known = list(values)
        return cls(median(known), min(known), max(known), len(known)) if known else None


class Summary:
    """All rounds, asked for one figure at a time."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self.names = list(dict.fromkeys(name for one in rounds for name in one))

    def value(self, name: str, figure: str, what: str = "rate") -> Spread | None:
        """Sum up one figure of one contender."""
        found = (one.get(name, {}).get(figure, {}).get(what) for one in self.rounds)
        return Spread.of(value for value in found if value is not None)

    def ratio(
        self, name: str, figure: str, other: str, other_figure: str = "", what: str = "rate"
    ) -> Spread | None:
        """Sum up how many times as quick it is as another, or takes of something else."""
        pairs = ((one.get(name, {}), one.get(other, {})) for one in self.rounds)
        found = ((ours.get(figure, {}), theirs.get(other_figure or figure, {})) for ours, theirs in pairs)
        return Spread.of(ours[what] / theirs[what] for ours, theirs in found if ours and theirs)

    def against_best(self, figure: str) -> tuple[Spread, str] | None:
        """Sum up how many times as quick ours is as the best peer, which is the one of the highest median."""
        peers = [(spread.median, name) for name in self.peers() if (spread := self.value(name, figure))]
        if not peers:
            return None
        best = max(peers)[1]
        spread = self.ratio(OURS, figure, best)
        return None if spread is None else (spread, best)

    def peers(self) -> list[str]:
        """List those that are compared with ours."""
        return [name for name in self.names if name not in _NOT_PEERS]

    def percentile(self, name: str, share: float) -> Spread | None:
        """Sum up a percentile, in ms, of send to result: over all sends, and that of each round as spread."""
        rounds = [one.get(name, {}).get("send to result", {}).get("ms") for one in self.rounds]
        there = [_percentile(ms, share) for ms in rounds if ms]
        if not there:
            return None
        every = [value for ms in rounds if ms for value in ms]
        return Spread(_percentile(every, share), min(there), max(there), len(every))


@dataclass(frozen=True)
class Requirement:
    """A line of the list of what is required."""

    text: str
    required: str
    aim: str
    found: Spread | None
    met: bool | None
    remark: str = ""


def requirements(summary: Summary) -> list[Requirement]:
    """Compare with what is asked for."""
    most = max(
        (waiting for waiting in (1000, 100_000, 1_000_000) if summary.value(OURS, behind(waiting))), default=0
    )
    lines = [
        _at_least("insert, against tuned arq", 2.5, 3, summary.ratio(OURS, INSERT, TUNED)),
        _at_best("insert, against the best peer", 1.4, 1.6, summary, INSERT),
        _at_least("insert, against our executor alone", 0.9, 0.95, summary.ratio(OURS, INSERT, "executor")),
        _at_least("insert, against asyncpg alone", 0.25, 0.35, summary.ratio(OURS, INSERT, "asyncpg")),
        _at_least("no-op, against tuned arq", 5, 8, summary.ratio(OURS, NOOP, TUNED)),
        _at_best("no-op, against the best peer", 1.2, 1.5, summary, NOOP),
        *_beyond_executor(summary),
        _at_least(
            "enqueue in bulk, against arq one by one",
            8,
            20,
            summary.ratio(OURS, "enqueue in bulk", PLAIN, "enqueue one by one"),
        ),
        _at_least(
            "enqueue one by one, against arq", 1.3, 1.7, summary.ratio(OURS, "enqueue one by one", PLAIN)
        ),
        _at_least(
            f"no-op, {most:,} waiting against 1,000",
            0.9,
            1.0,
            summary.ratio(OURS, behind(most), OURS, behind(1000)),
        ),
        _at_least(
            "updates of one row, against a bare loop", 0.5, 1, summary.ratio(OURS, HOT, OURS, HOT_ALONE)
        ),
        _at_least("insert, watched against not", 0.97, 1, summary.ratio(OURS, WATCHED, OURS, UNWATCHED)),
        _at_most(
            "its CPU for each, watched against not",
            1.03,
            1,
            summary.ratio(OURS, WATCHED, OURS, UNWATCHED, "worker_cpu_ms"),
        ),
        _at_most("memory of an idle worker, MiB", 100, 80, summary.value(OURS, "idle memory", "mib")),
        _at_most(
            "its growth over the run, MiB", 2, 0, summary.value(OURS, "memory over the run", "grown_mib")
        ),
        _at_least(
            "insert, two processes against one, cores free",
            1.4,
            1.4,
            summary.ratio(OURS, FEW_TWICE, OURS, FEW),
        ),
        Requirement(
            "the same with 20 slots each, cores taken",
            "",
            "",
            summary.ratio(OURS, RATES[1], OURS, INSERT),
            None,
        ),
    ]
    return [line for line in lines if line.found is not None]


def _beyond_executor(summary: Summary) -> Iterable[Requirement]:
    for share, required, aim in ((0.5, 5.0, 3.0), (0.99, 15.0, 8.0)):
        ours, alone = summary.percentile(OURS, share), summary.percentile("executor_latency", share)
        if ours and alone:
            beyond = Spread(
                ours.median - alone.median, ours.least - alone.median, ours.most - alone.median, ours.number
            )
            text = f"send to result beyond the executor's own, p{share * 100:.0f}, ms"
            yield _at_most(text, required, aim, beyond)


def _at_least(text: str, required: float, aim: float, found: Spread | None) -> Requirement:
    return Requirement(
        text, f">= {required:g}", f"{aim:g}", found, None if found is None else found.median >= required
    )


def _at_most(text: str, required: float, aim: float, found: Spread | None) -> Requirement:
    return Requirement(
        text, f"<= {required:g}", f"{aim:g}", found, None if found is None else found.median <= required
    )


def _at_best(text: str, required: float, aim: float, summary: Summary, figure: str) -> Requirement:
    best = summary.against_best(figure)
    line = _at_least(text, required, aim, best[0] if best else None)
    return Requirement(line.text, line.required, line.aim, line.found, line.met, best[1] if best else "")


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
