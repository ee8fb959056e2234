"""The metrics of a worker, for Prometheus: made out of what is counted anyway, when they are asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ..breaker import State
from .tally import BOUNDS, Tally

if TYPE_CHECKING:
    from .inspector import Inspector
    from .standing import Standing

Samples = Iterable[tuple[Sequence[str], float]]
"""Values, each after those of its labels."""

_EDGES = [*map(str, BOUNDS), "+Inf"]
_TIMES = {
    "queue_wait": ("waited", "From when a command was accepted, or due, until the run that ended it began."),
    "run": ("ran", "From when the run began that ended a command, until it had ended."),
    "end_to_end": ("whole", "From when a command was accepted, or due, until it had ended."),
}


class Source(Protocol):
    """Knows what worker processes have done, and how they stand."""

    def tally(self) -> Tally:
        """Return what they have done, those that are gone included."""

    def standings(self) -> list[Standing]:
        """Tell how those that run now stand."""


class Metrics(Collector):
    """All metrics: those of these processes, and those of the whole queue, which bear its name."""

    def __init__(self, source: Source, inspector: Inspector, queue: str) -> None:
        self._source, self._inspector, self._queue = source, inspector, queue

    def collect(self) -> Iterator[Metric]:
        """Make them."""
        yield from _done(self._source.tally())
        yield from _standing(self._source.standings())
        yield from self._of_queue()

    def _of_queue(self) -> Iterator[Metric]:
        queue, records = self._inspector.queue(), self._inspector.records()
        up = [(["redis"], queue is not None), (["database"], records is not None)]
        yield _gauge("server_up", "1 where the server answered, for the metrics of the queue.", up, "server")
        if queue is not None:
            found, accepted = queue["queue"], [([self._queue], queue["enqueued"])]
            yield _counter("commands_enqueued", "Commands accepted, by Redis's count.", accepted, "queue")
            refused = [([self._queue, reason], n) for reason, n in queue["refused"]["by_reason"].items()]
            told = "Jobs refused: unsigned, changed on their way, or under another's name."
            yield _counter("jobs_refused", told, refused, "queue", "reason")
            states = {state: found[state] for state in ("due", "delayed", "in_lanes")}
            states["running"] = queue["running"]
            told = "Commands in the queue: due, delayed, in lanes behind others, running anywhere."
            yield self._gauge("queue_commands", told, states, "state")
            yield self._gauge("queue_oldest_seconds", "Since when the oldest is due.", found["oldest_s"])
            yield self._gauge("queue_parked", "Dead commands that hold up what is behind.", found["parked"])
        if records is not None:
            outbox, letters = records["outbox"], records["dead_letters"]
            yield self._gauge("outbox_pending", "Commands still to be published.", outbox["unpublished"])
            yield self._gauge("outbox_lag_seconds", "Age of the oldest of them.", outbox["oldest_s"])
            told = "Dead letters by state, up to 100,000 of each."
            yield self._gauge("dead_letters", told, letters, "state")

    def _gauge(
        self, name: str, told: str, found: Mapping[str, float] | float, *labels: str
    ) -> GaugeMetricFamily:
        values = found if isinstance(found, Mapping) else {"": found}
        samples = [([self._queue, *([word] if word else [])], value) for word, value in values.items()]
        return _gauge(name, told, samples, "queue", *labels)


def _done(tally: Tally) -> Iterator[Metric]:
    """Make those of what was done, which only grows."""
    kinds = {kind: of for kind, of in tally.kinds.items() if of.finished}
    finished = [((kind, ending), n) for kind, of in kinds.items() for ending, n in of.finished.items()]
    yield _counter("commands_finished", "Commands that have ended.", finished, "kind", "ending")
    for name, (attribute, told) in _TIMES.items():
        family = HistogramMetricFamily(f"crud_worker_{name}_seconds", told, labels=["kind"])
        for kind, of in kinds.items():
            histogram = getattr(of, attribute)
            buckets = [*zip(_EDGES, accumulate(histogram.counts), strict=True)]
            family.add_metric([kind], buckets, histogram.total)
        yield family
    failures = [([cause], count) for cause, count in tally.failures.items()]
    yield _counter("attempts_failed", "Attempts that failed, by the cause.", failures, "reason")
    retries = [([sqlstate], count) for sqlstate, count in tally.retries.items()]
    told = "Attempts made again after an error of the database."
    yield _counter("database_retries", told, retries, "sqlstate")
    told = "Deliveries whose command had ended already: nothing was done twice."
    yield _counter("duplicates_suppressed", told, [((), tally.adopted)])
    told = "Deliveries after a lease that ran out: its worker was killed, or cut off."
    yield _counter("leases_recovered", told, [((), tally.recovered)])


def _standing(standings: list[Standing]) -> Iterator[Metric]:
    """Make those of how all that run now stand together."""
    sums: dict[str, tuple[str, float]] = {
        "processes": ("Worker processes.", len(standings)),
        "commands_running": ("Commands that run.", sum(one.running for one in standings)),
        "slots": ("Commands that can run side by side.", sum(one.slots for one in standings)),
        "breaker_open": (
            "Processes that take no commands: the database is away.",
            sum(one.breaker != State.CLOSED for one in standings),
        ),
        "pool_connections_in_use": (
            "Connections to the database in use.",
            sum(one.connections_in_use for one in standings),
        ),
        "pool_connections": (
            "Connections to the database that there may be.",
            sum(one.connections for one in standings),
        ),
    }
    for name, (told, value) in sums.items():
        yield _gauge(name, told, [((), value)])
    if standings:
        last = time.time() - max(one.idle for one in standings)
        told = "When the process that is the furthest behind made progress: unix time."
        yield _gauge("last_progress_timestamp_seconds", told, [((), last)])


def _counter(name: str, told: str, samples: Samples, *labels: str) -> CounterMetricFamily:
    family = CounterMetricFamily(f"crud_worker_{name}", told, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, told: str, samples: Samples, *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"crud_worker_{name}", told, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
