"""What processes report to their supervisor, whatever becomes of them."""

import os

import pytest

from tests.waiting import until
from worker.monitoring.progress import PATIENCE
from worker.monitoring.reports import Reporter, Reports
from worker.monitoring.standing import Standing
from worker.monitoring.tally import Tally

AT_WORK = Standing(running=1, slots=5, at_work=True, idle=0.5)


class Child:
    """A process, as its supervisor hears it."""

    def __init__(self, reports: Reports) -> None:
        with reports.of_process() as self.heard:
            self.pipe = os.dup(self.heard.pipe)
        self.tally = Tally(["user.create"])
        self.reporter = Reporter(self.pipe, self.tally, lambda: AT_WORK)


def finished(reports: Reports) -> int:
    return sum(sum(of.finished.values()) for of in reports.tally().kinds.values())


async def test_counts_add_up_and_stay_when_a_process_ends_and_its_standing_goes() -> None:
    reports = Reports()
    children = [Child(reports), Child(reports)]
    for child in children:
        child.tally.end("user.create", "applied", 1, 1)
        await child.reporter.start()
    await until(lambda: finished(reports) == 2)
    assert [standing.slots for standing in reports.standings()] == [5, 5]

    children[0].tally.end("user.create", "applied", 1, 1)
    await children[0].reporter.stop()  # it reports once more
    await until(lambda: len(reports.standings()) == 1)
    assert finished(reports) == 3
    await children[1].reporter.stop()
    await until(lambda: reports.standings() == [])
    assert finished(reports) == 3


async def test_a_process_that_is_killed_in_the_middle_of_a_line_counts_as_it_did_before() -> None:
    reports = Reports()
    child = Child(reports)
    child.tally.end("user.create", "applied", 1, 1)
    await child.reporter.start()
    await until(lambda: finished(reports) == 1)
    with reports.of_process() as heard:
        os.write(heard.pipe, b'{"standing": [1, ')
    await child.reporter.stop()
    await until(lambda: reports.standings() == [])
    assert finished(reports) == 1


async def test_of_a_process_that_has_ended_only_its_counts_stay_whoever_holds_its_pipe() -> None:
    reports = Reports()
    child = Child(reports)
    forked = os.dup(child.pipe)
    child.tally.end("user.create", "applied", 1, 1)
    await child.reporter.start()
    await until(lambda: finished(reports) == 1)
    child.tally.end("user.create", "applied", 1, 1)
    await child.reporter.stop()
    child.heard.has_ended = True
    assert reports.standings() == []
    await until(lambda: finished(reports) == 2)  # its last report counts, though it comes after its end
    os.close(forked)
    await until(lambda: reports._heard == [])
    assert finished(reports) == 2


async def test_a_process_that_says_nothing_has_stopped_and_one_that_starts_gets_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports = Reports()
    child = Child(reports)
    await until(lambda: len(reports.standings()) == 1)
    assert reports.standings()[0].stopped == ""
    heard = child.heard
    heard.at -= PATIENCE + 1
    assert reports.standings()[0].stopped == ""
    heard.at -= 30
    assert reports.standings()[0].stopped.startswith("nothing was heard of it for 39 s")

    await child.reporter.start()
    await until(lambda: reports.standings()[0].slots == 5)
    monkeypatch.setattr(child.reporter, "_write", lambda: None)
    heard.at -= PATIENCE + 2
    assert "was heard of it for" in reports.standings()[0].stopped
    assert reports.standings()[0].idle > PATIENCE
    await child.reporter.stop()
    await until(lambda: reports.standings() == [])


async def test_a_process_hears_that_its_supervisor_was_killed_and_ends_in_order() -> None:
    ours, theirs = os.pipe()
    lost: list[bool] = []
    reporter = Reporter(theirs, Tally(), lambda: AT_WORK, lambda: lost.append(True))
    await reporter.start()
    os.close(ours)
    await until(lambda: lost == [True])
    await reporter.stop()
    assert lost == [True]
