"""What goes wrong in the story, and what becomes of it: each time one ending, and nothing done by halves."""

# ruff: noqa: S101  # what a step promises, it asserts

import json
import subprocess
import sys
from typing import Any, ClassVar
from uuid import UUID, uuid4

from producers import Atomic, BlockingProducer, BlockingReceipt, CommandDead, CommandError, CommandRejected
from producers.commands import (
    CreatePost,
    CreateUser,
    CreateUsers,
    DeleteUser,
    GetPost,
    GetUser,
    NewUser,
    UpdateUser,
)

from .steps import Part

PAIRS = 5


class CreateUserOfTomorrow(CreateUser):
    """A newer version of a command: what a producer sends that was deployed before its workers."""

    version: ClassVar[int] = 2

    pronouns: str


def survive(part: Part, producer: BlockingProducer, ada: UUID) -> None:
    """Let things go wrong, where there are users called ada and grace."""
    with part.step("An Atomic that fails in the middle", sent="atomic: user, post, user, post") as tell:
        first, post = uuid4(), uuid4()
        atomic = Atomic(
            [
                CreateUser(id=first, username="margaret"),
                CreatePost(id=post, title="Apollo", user_id=first),
                CreateUser(username="grace"),  # there is one
                CreatePost(title="Never written", user_id=first),
            ]
        )
        error = error_of(producer.send(atomic))
        assert isinstance(error, CommandRejected)
        assert producer.send(GetUser(id=first)).result(30) is None
        assert producer.send(GetPost(id=post)).result(30) is None
        tell(f"rejected, {error}; nothing of it is left")

    with part.step(
        "A deadlock that is retried", sent=f"{2 * PAIRS} atomic in no order: two by two in each other's way"
    ) as tell:
        lock_each_other_out(producer)
        tell(f"all {2 * PAIRS} applied, each once; the worker's log tells of the deadlocks")

    with part.step("The same command sent twice", sent="user.update, twice with one command id") as tell:
        update, before = UpdateUser(id=ada, age=36), version_of(producer, ada)
        receipts = [producer.send(update, command_id=f"birthday of {ada}") for _ in range(2)]
        assert [receipt.status for receipt in receipts] == ["accepted", "duplicate"]
        assert receipts[0].result(30) == receipts[1].result(30)
        assert version_of(producer, ada) == before + 1
        tell("accepted, then duplicate; both have the same result; applied once")

    with part.step("A duplicate username", sent="user.create") as tell:
        error = error_of(producer.send(CreateUser(username="ada")))
        assert isinstance(error, CommandRejected)
        assert (error.code, error.field) == ("unique_violation", "username")
        tell(f"{type(error).__name__}, code {error.code}, field {error.field}")

    with part.step("A command that dies, is mended and replayed", sent="user.create version 2") as tell:
        receipt = producer.send(CreateUserOfTomorrow(username="katherine", pronouns="she/her"))
        error = error_of(receipt)
        assert isinstance(error, CommandDead)
        tell(f"dead: {error}")
        tell(
            operate(
                "dead", "retry", str(receipt.command_id), "--payload", json.dumps({"username": "katherine"})
            )
        )
        katherine = receipt.result(30)
        assert katherine.username == "katherine"
        assert producer.send(DeleteUser(id=katherine.id)).result(30) is True
        tell(f"applied: {katherine.username} is there")


def lock_each_other_out(producer: BlockingProducer) -> None:
    """Send pairs of commands that change the same two users, each from its own end, and dwell in between."""
    rows = [NewUser(username=f"partner-{number}") for number in range(2 * PAIRS)]
    people = [user.id for user in producer.send(CreateUsers(rows=rows)).result(30) if user]
    commands = []
    for pair in zip(people[::2], people[1::2], strict=True):
        for one, other in (pair, pair[::-1]):
            dwell = [GetUser(id=one, include="posts")] * 20
            commands.append(Atomic([UpdateUser(id=one, age=20), *dwell, UpdateUser(id=other, age=30)]))
    for receipt in producer.send_many(commands, ordered=False):  # in order, none would meet another
        receipt.result(30)
    assert [version_of(producer, user_id) for user_id in people] == [3] * len(people)
    producer.send(Atomic([DeleteUser(id=user_id) for user_id in people])).result(30)


def version_of(producer: BlockingProducer, user_id: UUID) -> int:
    """Read how often a user was written."""
    user = producer.send(GetUser(id=user_id)).result(30)
    assert user is not None
    return user.version


def error_of(receipt: BlockingReceipt[Any]) -> CommandError:
    """Wait for the error that a command has to end with."""
    try:
        result = receipt.result(30)
    except CommandError as error:
        return error
    raise AssertionError(f"it was to fail, and gave {result!r}")


def operate(*arguments: str) -> str:
    """Do as an operator does: run `python -m worker` with these arguments."""
    command = [sys.executable, "-m", "worker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
    assert done.returncode == 0, done.stderr.strip()
    return done.stdout.strip()
