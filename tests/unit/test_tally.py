"""What a process counts of its own work."""

import json

import pytest

from worker.failure import Cause, Failure
from worker.monitoring.tally import BOUNDS, UNKNOWN, Histogram, Tally

DEADLOCK = Failure(Cause.CONFLICT, "deadlock", "", "DeadlockDetectedError", "40P01")
BUG = Failure(Cause.BUG, "bug", "", "ValueError")


def of(*seconds: float) -> Histogram:
    histogram = Histogram()
    for one in seconds:
        histogram.observe(one)
    return histogram


def test_a_bucket_counts_what_took_no_longer_than_its_bound() -> None:
    histogram = of(0, 0.001, 0.0011, 1800, 1801)
    assert histogram.counts == [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1]
    assert histogram.total == pytest.approx(3601.0021)


@pytest.mark.parametrize(
    ("seconds", "q", "estimated"),
    [
        ([], 0.5, None),
        ([0.3] * 4, 0.5, 0.375),
        ([0.3] * 4, 1, 0.5),
        ([0.02] * 99 + [20], 0.99, 0.025),
        ([0.02] * 99 + [20], 1, 30),
        ([7200], 0.5, 1800),
    ],
    ids=["none", "the middle", "all", "but the slowest", "the slowest too", "beyond the last bound"],
)
def test_a_quantile_is_estimated_within_its_bucket(
    seconds: list[float], q: float, estimated: float | None
) -> None:
    assert of(*seconds).quantile(q) == (None if estimated is None else pytest.approx(estimated))


def test_histograms_add_up() -> None:
    both = of(0.3)
    both.add(of(0.3, 20))
    assert both == of(0.3, 0.3, 20)


def test_what_ends_is_counted_by_kind_and_ending() -> None:
    tally = Tally(["user.create"])
    tally.end("user.create", "applied", 2, 0.5)
    tally.end("user.create", "applied", None, 0.5)
    tally.end("user.create", "rejected", 2, 0.5)

    of_kind = tally.kinds["user.create"]
    assert of_kind.finished == {"applied": 2, "rejected": 1}
    assert (of_kind.waited, of_kind.ran, of_kind.whole) == (of(2, 2), of(0.5, 0.5, 0.5), of(2.5, 2.5))


def test_kinds_that_nobody_knows_count_as_one() -> None:
    tally = Tally(["user.create"])
    for kind in ("", "user.created", "'; drop"):
        tally.end(kind, "dead", 1, 1)
    assert set(tally.kinds) == {"user.create", UNKNOWN}
    assert tally.kinds[UNKNOWN].finished == {"dead": 3}


def test_only_failures_of_the_database_are_told_by_sqlstate() -> None:
    tally = Tally()
    for failure in (DEADLOCK, BUG):
        assert tally.failed(failure) is failure
        tally.retry(failure)
    assert (tally.failures, tally.retries) == ({"conflict": 1, "bug": 1}, {"40P01": 1})


def test_tallies_add_up_also_those_that_came_as_json() -> None:
    whole = Tally()
    for _ in range(2):
        tally = Tally(["user.create", "user.get"])
        tally.end("user.create", "applied", 2, 0.5)
        tally.end("nobody's", "dead", None, 0.5)
        tally.failed(DEADLOCK)
        tally.retry(DEADLOCK)
        tally.adopted, tally.recovered = 3, 4
        whole.add(Tally.load(json.loads(json.dumps(tally.dump()))))

    assert set(whole.kinds) == {"user.create", UNKNOWN}
    assert whole.kinds["user.create"].finished == {"applied": 2}
    assert whole.kinds["user.create"].whole == of(2.5, 2.5)
    assert whole.kinds[UNKNOWN].finished == {"dead": 2}
    assert (whole.failures, whole.retries) == ({"conflict": 2}, {"40P01": 2})
    assert (whole.adopted, whole.recovered) == (6, 8)
