"""Claims, leases, runs and lanes in any order: the scripts and the executor, with a clock of our own.

Two workers claim, renew, run, put off and hand back; they crash, in a run and after its COMMIT, and come
back as zombies; commands fail, are sent, replayed and dropped. Redis is fakeredis, with Lua; the database
is SQLite.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from fakeredis import FakeRedis, FakeServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from producers.lanes import with_lanes
from producers.wire import Answer, Keys
from tests.unit.executed import Executed, Killed, Then
from worker.delivery import Failures, Later

ROOT = Path(__file__).parents[2]
QUEUE, BELL, ABORTS, LEASES = "q", "arq:bell:q", "arq:abort", "arq:leases:q"
KEYS = Keys(QUEUE)
LEASE = 10_000
ROWS = "abc"
WORKERS = st.sampled_from([0, 1])


def script(path: str, *, lanes: bool) -> str:
    """A script without its line of flags, and with what fakeredis has not."""
    text = (ROOT / path).read_text()
    whole = (with_lanes(text) if lanes else text).replace("#!lua flags=allow-oom", "", 1)
    return f"redis.sha1hex = function(text) return text end\n{whole}"


ENQUEUE, DEPOSIT, JOIN, SWEEP = (
    script(path, lanes=True)
    for path in ("producers/enqueue.lua", "worker/deposit.lua", "worker/join.lua", "worker/sweep.lua")
)
CLAIM, SETTLE, RENEW = (
    script(f"worker/engine/{name}.lua", lanes=False) for name in ("claim", "settle", "renew")
)
COUNT = script("worker/count_failure.lua", lanes=False)
THEN = st.sampled_from(["applied", "applied", "rejected", "fails", "dies", "dies", "killed"])


@pytest.fixture(scope="module", autouse=True)
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The database, one for all examples."""
    Interleavings.database = Executed(tmp_path_factory.mktemp("interleavings"))
    yield
    Interleavings.database.close()


@dataclass(frozen=True)
class Sent:
    """A command as the worker has it in hand."""

    id: str
    generation: int
    lanes: tuple[str, ...]
    delayed: bool

    @property
    def job_id(self) -> str:
        return KEYS.job_id(UUID(self.id), self.generation)


@dataclass
class Claimed:
    sent: Sent
    token: str
    ends: float
    first: bool


class Interleavings(RuleBasedStateMachine):
    """What must hold is in the invariants, in `_ended_now`, and in `teardown`."""

    database: Executed

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000.0
        self.clock = patch.object(time, "time", lambda: self.now)
        self.clock.start()
        self.redis = FakeRedis(server=FakeServer())
        self.run_script: Any = self.redis.eval
        self.numbers, self.tokens = count(1), count(1)
        self.jobs: dict[str, Sent] = {}
        self.place: dict[str, int] = {}
        self.ended: dict[str, str] = {}
        self.dead: dict[str, Sent] = {}
        self.database.clear()
        self.held: list[list[Claimed]] = [[], []]

    def teardown(self) -> None:
        """Nothing is stuck: one worker alone comes to the end of all, and leaves no trace of any lane."""
        try:
            for _ in range(200):
                self.now += 11
                for command_id in [*self.dead]:
                    self._drop(command_id)
                self.held = [[], []]
                self.claim(0, 5)
                for claimed in [*self.held[0]]:
                    self._run(0, claimed, "applied")
                if not self.redis.zcard(QUEUE):
                    break
            assert set(self.ended) == set(self.place), "a command is stuck"
            found: Any = self.redis.keys("*")
            left = [key.decode() for key in found]
            traces = ("lane:", "stand:", "behind:", "waiting", "parked")
            assert not [key for key in left if any(f"crud:q:{trace}" in key for trace in traces)], left
        finally:
            self.clock.stop()

    # What producers and people do

    @initialize()
    def begin(self) -> None:
        """Some work, and both workers at it."""
        for rows in ({"a"}, {"a", "b"}, {"b"}, {"c"}):
            self.send(rows, None, 0)
        self.claim(0, 1)

    @rule(
        rows=st.sets(st.sampled_from(ROWS), min_size=1, max_size=3),
        parent=st.sampled_from([None, *ROWS]),
        delay=st.sampled_from([0, 0, 0, 3]),
    )
    def send(self, rows: set[str], parent: str | None, delay: int) -> None:
        lanes = tuple(sorted(rows))
        sent = Sent(str(UUID(int=next(self.numbers))), 0, lanes, bool(delay))
        self._enqueue(sent, delay, [parent] if parent and not delay else [])
        if not delay:
            self.place[sent.id] = len(self.place)

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def replay(self, data: Any) -> None:
        command_id = data.draw(st.sampled_from(sorted(self.dead)))
        sent = self.dead.pop(command_id)
        self.ended.pop(command_id)
        again = Sent(sent.id, self.database.begin_replay(sent.id), sent.lanes, delayed=False)
        self._enqueue(again, 0, [])

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        self._drop(data.draw(st.sampled_from(sorted(self.dead))))

    # What workers do

    @rule(worker=WORKERS, most=st.integers(1, 5))
    def claim(self, worker: int, most: int) -> None:
        token = f"{worker}:{next(self.tokens)}"
        reply: Any = self.run_script(CLAIM, 4, QUEUE, ABORTS, BELL, LEASES, most, LEASE, token, "", "")
        for raw_id, _, tries, *_ in reply[3:]:
            sent = self.jobs[raw_id.decode()]
            claimed = Claimed(sent, token, self.now + LEASE / 1000, first=tries == 1)
            self.held[worker].append(claimed)
            if sent.delayed and not self._may_run(sent):
                self._settle(claimed, "later", str(round(2.5e14)))
                self.held[worker].remove(claimed)

    @rule(worker=WORKERS)
    def renew(self, worker: int) -> None:
        for claimed in self.held[worker]:
            mine = self._is_mine(claimed)
            told: Any = self.run_script(RENEW, 2, QUEUE, LEASES, LEASE, claimed.sent.job_id, claimed.token)
            assert mine or told[0] == 0
            if told[0]:
                claimed.ends = self.now + LEASE / 1000

    @rule(worker=WORKERS, data=st.data(), then=THEN)
    def run(self, worker: int, data: Any, then: Then) -> None:
        """A zombie, too: whose lease has run out goes on as if it had not."""
        if self.held[worker]:
            self._run(worker, data.draw(st.sampled_from(self.held[worker])), then)

    @rule(worker=WORKERS, data=st.data(), verb=st.sampled_from(["later", "back"]))
    def put_off(self, worker: int, data: Any, verb: str) -> None:
        if self.held[worker]:
            claimed = data.draw(st.sampled_from(self.held[worker]))
            self._settle(claimed, verb, "500" if verb == "later" else str(round(self.now * 1000)))
            self.held[worker].remove(claimed)

    @rule(worker=WORKERS)
    def crash(self, worker: int) -> None:
        self.held[worker] = []

    @rule(worker=WORKERS, data=st.data())
    def crash_after_commit(self, worker: int, data: Any) -> None:
        if self.held[worker]:
            self._execute(data.draw(st.sampled_from(self.held[worker])), "applied")
            self.held[worker] = []

    @rule()
    def sweep(self) -> None:
        _, gone = self._eval(SWEEP, 1000)
        assert not gone, "no job goes by itself"

    @rule(worker=WORKERS, then=THEN, late=THEN)
    def stands_still(self, worker: int, then: Then, late: Then) -> None:
        """Past its leases; meanwhile the other one claims and runs what it had, and then it goes on."""
        other = 1 - worker
        self.now += 11
        self.claim(other, 5)
        had = {claimed.sent.job_id: claimed for claimed in self.held[worker]}
        for claimed in [claimed for claimed in self.held[other] if claimed.sent.job_id in had]:
            if claimed in self.held[other]:
                self._run(other, claimed, then)
            if had[claimed.sent.job_id] in self.held[worker]:
                self._run(worker, had[claimed.sent.job_id], late)

    @rule(seconds=st.sampled_from([0.1, 1, 4, 11]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def one_at_a_time(self) -> None:
        """Of those whose lease is good, no two are in one lane, and no job is there twice."""
        good = [
            claimed
            for held in self.held
            for claimed in held
            if claimed.ends > self.now and self._owns(claimed) and self._is_newest(claimed.sent)
        ]
        lanes = [lane for claimed in good for lane in claimed.sent.lanes if claimed.sent.id not in self.ended]
        assert len(lanes) == len(set(lanes))
        assert len(good) == len({claimed.sent.job_id for claimed in good})

    # How

    def _owns(self, claimed: Claimed) -> bool:
        owner: Any = self.redis.get(f"arq:in-progress:{claimed.sent.job_id}")
        return owner is not None and owner.decode() == claimed.token

    def _is_newest(self, sent: Sent) -> bool:
        """Whether it has not been replayed since: a late delivery only finds out how it ended."""
        return sent.generation == self._newest(sent.id)

    def _newest(self, command_id: str) -> int:
        return max(job.generation for job in self.jobs.values() if job.id == command_id)

    def _enqueue(self, sent: Sent, delay: int, refs: list[str]) -> None:
        stamp = ',"lanes":[]'
        about = [sent.id, "{}", f"print{sent.id}", str(sent.generation), f"+{delay * 1000}", stamp]
        reply = self._eval(ENQUEUE, "", "nonce", "", *about, "\0".join(sent.lanes), "\0".join(refs))
        assert reply == [b"accepted"]
        self.jobs[sent.job_id] = sent

    def _may_run(self, sent: Sent) -> bool:
        about = [sent.id, sent.job_id, round(self.now * 1000), len(sent.lanes), *sent.lanes, 0]
        joined = bool(self._eval(JOIN, *about))
        if sent.id not in self.place:
            self.place[sent.id] = len(self.place)
        return joined

    def _execute(self, claimed: Claimed, then: Then) -> Answer | Later:
        """Run it; what is committed then is the truth, whatever becomes of the worker."""
        sent = claimed.sent

        def count(reason: str) -> Failures:
            told: Any = self.run_script(COUNT, 1, KEYS.failures(sent.job_id), reason, os.urandom(8).hex())
            return Failures(told[0], told[1] / 1000)

        try:
            return self.database.run(sent.id, sent.generation, then, first=claimed.first, count=count)
        finally:
            self._look(sent)

    def _look(self, ran: Sent) -> None:
        """One ending each, for ever; effects once, where it is applied; in a lane one after the other."""
        endings, effects = self.database.endings(), self.database.effects()
        assert set(effects) <= set(endings)
        for command_id, (ending, generation) in endings.items():
            assert effects[command_id] == (ending == "applied"), f"{command_id} is {ending}"
            if generation < self._newest(command_id):
                assert ending == "dead", "it is being replayed"
            elif command_id in self.ended:
                assert self.ended[command_id] == ending, "there is one ending"
            else:
                assert command_id == ran.id
                self._ended_now(ran, ending)

    def _ended_now(self, sent: Sent, ending: str) -> None:
        for lane in sent.lanes:
            before = [
                other for other in self._before(sent, lane) if other not in self.ended or other in self.dead
            ]
            assert not before, f"{sent.id} overtakes {before}"
        self.ended[sent.id] = ending

    def _before(self, sent: Sent, lane: str) -> list[str]:
        jobs = {job.id: job for job in self.jobs.values()}
        earlier = [other for other, place in self.place.items() if place < self.place[sent.id]]
        return [other for other in earlier if lane in jobs[other].lanes]

    def _run(self, worker: int, claimed: Claimed, then: Then) -> None:
        sent = claimed.sent
        try:
            outcome = self._execute(claimed, then)
        except Killed:
            self.held[worker] = []
            return
        self.held[worker].remove(claimed)
        if isinstance(outcome, Later):
            self._settle(claimed, "later", str(round(outcome.delay * 1000)))
            return
        parks = outcome.ending == "dead"
        self._deposit(sent, "parks" if parks else "")
        self._settle(claimed, "finish", "")
        if parks and self._is_newest(sent) and self.ended.get(sent.id) == "dead":
            self.dead[sent.id] = sent

    def _deposit(self, sent: Sent, then: str) -> None:
        about = [sent.id, sent.generation, sent.job_id, "{}", then, "", len(sent.lanes), *sent.lanes]
        self._eval(DEPOSIT, 3_600_000, 3_600_000, "1", *about)

    def _drop(self, command_id: str) -> None:
        sent = self.dead.pop(command_id)
        self.ended[command_id] = "dropped"
        self.database.drop(command_id)
        self._deposit(sent, "leaves")

    def _settle(self, claimed: Claimed, verb: str, value: str) -> None:
        """One that has not the job any more changes nothing."""
        before = None if self._is_mine(claimed) else self._state(claimed.sent)
        told = [claimed.sent.job_id, claimed.token, verb, value, "", "", "kept"]
        reply: Any = self.run_script(SETTLE, 4, QUEUE, ABORTS, BELL, LEASES, *told)
        if before is not None:
            assert reply == [0]
            assert self._state(claimed.sent) == before

    def _is_mine(self, claimed: Claimed) -> bool:
        """Whether nobody else has claimed it since."""
        owner: Any = self.redis.get(f"arq:in-progress:{claimed.sent.job_id}")
        owner = owner or self.redis.hget(f"arq:engine:{claimed.sent.job_id}", "owner")
        return owner is not None and owner.decode() == claimed.token

    def _state(self, sent: Sent) -> Any:
        progress = self.redis.get(f"arq:in-progress:{sent.job_id}")
        return (
            progress,
            self.redis.zscore(QUEUE, sent.job_id),
            self.redis.hgetall(f"arq:engine:{sent.job_id}"),
        )

    def _eval(self, text: str, *arguments: Any) -> Any:
        return self.run_script(text, 2, QUEUE, BELL, *arguments)


SHRINKS = True
"""A test of this test has no need of the shortest example."""

TestInterleavings = pytest.mark.slow(pytest.mark.timeout(300)(Interleavings.TestCase))
TestInterleavings.settings = settings(
    phases=[phase for phase in Phase if SHRINKS or phase is not Phase.shrink],
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
