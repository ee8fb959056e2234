"""The promise: what nobody can read is kept for a deploy, and then as a dead letter with its raw bytes."""

import json
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from producers import Command
from producers.commands import CreateUser
from producers.wire import Answer, Ending, Envelope
from tests.guarantees.conftest import Counters, MakeApp, Rows
from tests.guarantees.counters import Bump, bump
from tests.guarantees.courier import Courier
from tests.guarantees.deliveries import envelope_of
from worker import executor
from worker.delivery import Delivery, Failures, Later
from worker.received import deserialize


class NewBump(Bump):
    """The next version of it."""

    version: ClassVar[int] = 2


READABLE = envelope_of(Bump(name="n"))
UNREADABLE = {
    "another kind": replace(READABLE, kind="counter.unheard_of"),
    "a newer version": replace(READABLE, version=2),
    "an older version": replace(READABLE, version=0),
    "another field": replace(READABLE, payload={"name": "n", "na\0me": "x"}),
    "another type": replace(READABLE, payload={"name": ["n"]}),
}


@pytest.mark.parametrize("envelope", UNREADABLE.values(), ids=UNREADABLE)
async def test_it_is_kept_for_its_time_and_then_dead_with_its_bytes(
    envelope: Envelope, make_app: MakeApp, letters: Rows, endings: Rows
) -> None:
    courier = Courier(make_app({Bump: bump}, unreadable_timeout=60, max_attempts=1), envelope, age=59.9)

    assert [isinstance(await courier.deliver(), Later) for _ in range(10)] == [True] * 10
    assert await endings() == []
    courier.age = 60
    answer = await courier.deliver()

    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert (answer.ending, answer.error["code"]) == (Ending.DEAD, "unreadable")
    [letter], [row] = await letters(), await endings()
    assert (letter.state, letter.body, letter.kind) == ("dead", envelope.encode().encode(), envelope.kind)
    assert (letter.attempts, letter.error_class, letter.sqlstate) == (11, "UnreadableCommand", None)
    assert (row.ending, row.error) == ("dead", answer.error)


# What a producer never writes, and no column could hold.
BROKEN: dict[str, dict[str, Any]] = {
    "a kind with NUL": {"kind": "counter\0bump"},
    "a kind with half a character": {"kind": "counter.\ud800"},
    "a fingerprint that is too long": {"fingerprint": "f" * 65},
    "a generation that is too large": {"generation": 2**31},
    "a kind that is no text": {"kind": 1},
    "another format": {"format": 2},
}


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
async def test_a_broken_envelope_is_kept_as_it_came(
    fields: dict[str, Any], make_app: MakeApp, letters: Rows
) -> None:
    envelope = {**json.loads(READABLE.encode()), **fields}
    job: dict[str, Any] = {"t": None, "f": "execute", "a": [envelope, {"accepted": 1}], "k": {}, "et": 1}
    body = json.dumps(job).encode()
    [received] = deserialize(body)["a"]
    assert received.envelope is None

    async def count(_reason: str) -> Failures:
        return Failures(1, 3600)

    app = make_app({Bump: bump})
    delivery = Delivery(uuid4(), "queue", received.body, None, count, problem=received.problem)
    answer = await executor.execute(app, delivery)

    assert isinstance(answer, Answer)
    assert answer.ending is Ending.DEAD
    assert [(letter.state, letter.body) for letter in await letters()] == [("dead", body)]


@pytest.mark.parametrize(
    ("envelope", "deployed"),
    [(UNREADABLE["a newer version"], NewBump), (envelope_of(CreateUser(username="ada")), CreateUser)],
    ids=["a newer version", "another kind"],
)
async def test_what_a_deploy_makes_readable_is_applied(
    envelope: Envelope, deployed: type[Command[Any]], make_app: MakeApp, counters: Counters
) -> None:
    courier = Courier(make_app({Bump: bump}), envelope)
    assert isinstance(await courier.deliver(), Later)

    courier.app = make_app({deployed: bump}) if deployed is NewBump else make_app()

    assert (await courier.until_answered()).ending is Ending.APPLIED
    assert await counters() == ({"n": 1} if deployed is NewBump else {})
    assert courier.counted == {"unreadable": 1}
